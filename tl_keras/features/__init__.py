"""Maps of feature arrays that bring the domains together: transfer of features."""

__all__ = []
