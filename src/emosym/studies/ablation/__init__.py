"""Pre-registered ablations: a grid of recipes and seeds, run to the end, and its table."""
