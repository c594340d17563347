"""The one training loop, and what carries it: optimizers, state, processes, logs."""
