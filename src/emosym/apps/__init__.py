"""What a person touches: the shell command `emosym`."""
