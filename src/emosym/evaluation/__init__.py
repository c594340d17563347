"""Measuring a model, its result files, the demo, and the report."""
