"""Weights for source samples, and boosting that corrects them: transfer of instances."""

__all__ = []
