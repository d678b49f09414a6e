"""Objectives that keep what the pretrained network knows."""
