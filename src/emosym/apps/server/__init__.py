"""`emosym serve`: the session behind HTTP, in limits."""
