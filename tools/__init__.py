"""Programs for those who work on the library; they are not installed with it."""
