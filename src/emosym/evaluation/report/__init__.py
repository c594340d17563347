"""One self-contained page from run folders: its sections, figures and words."""
