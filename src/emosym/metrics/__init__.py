"""Pure functions on arrays; definitions in docs/metrics.md."""
