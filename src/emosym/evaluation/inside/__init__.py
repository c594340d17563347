"""Inside the model: what its layers know of the emotion, and what pushing them does."""
