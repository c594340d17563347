"""Random weights in the official layouts: readers, painters, and what both need."""
