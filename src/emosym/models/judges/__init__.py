"""Networks that only judge: emotion judges, attribute judges, feature extractors."""
