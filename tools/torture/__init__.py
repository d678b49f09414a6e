"""Hostile files and faults that the library has to survive."""
