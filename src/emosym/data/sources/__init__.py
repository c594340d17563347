"""One file a source: a folder, a table or a generator in, a data set out."""
