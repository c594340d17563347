"""The networks: reader, painter, what joins them, judges; checkpoints and presets."""
