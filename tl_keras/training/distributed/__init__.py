"""Several devices and workers: strategies, agreement, and workers that are lost."""
