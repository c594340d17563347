"""Training: one file a stage, on one loop."""
