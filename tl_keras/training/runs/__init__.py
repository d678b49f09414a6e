"""A run on the disk: its directory, checkpoints, identity and state."""
