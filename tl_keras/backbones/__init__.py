"""Backbones: pretrained networks by every spec that `build_transfer_model` takes."""
