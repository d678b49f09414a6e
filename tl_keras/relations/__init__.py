"""Structure that domains share: transfer of relations."""

__all__ = []
