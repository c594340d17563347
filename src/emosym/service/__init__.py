"""One opened model for shell, page and server: the session, and where rows and pictures go."""
