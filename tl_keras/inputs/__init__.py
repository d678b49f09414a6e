"""What goes into a model: preprocessing, decoding, checks of shapes and ranges."""
