"""Objectives that bring the features or predictions of domains together."""
