"""Readers of image files: folders and tables."""
