"""Objectives that learn from a model's own predictions for unlabelled examples."""
