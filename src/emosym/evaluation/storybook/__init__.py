"""Measures that need the storybook's exact truth."""
