"""Tools for those who work on tl_keras; no part of the package."""
