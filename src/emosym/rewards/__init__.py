"""Pure functions that score answers, for stage 2."""
