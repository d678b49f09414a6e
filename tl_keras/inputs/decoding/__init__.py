"""From bytes to pixels: one decoder for training, inspection and served models."""
