"""Scores and splits for choosing among adapted estimators without target labels."""

__all__ = []
