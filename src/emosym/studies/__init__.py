"""What runs the whole of it: the demo, and pre-registered studies."""
