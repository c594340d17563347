"""`emosym ui`: the page to read, paint, look into a memory bank and watch runs."""
