"""Random changes of training images that depend on seed, epoch and position only."""
