"""Reading a whole data set once, and saying what is wrong with it."""
