"""One step of training: forward pass, losses, update."""
