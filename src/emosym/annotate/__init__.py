"""Rationale writers: from what is in a picture to words about it."""
