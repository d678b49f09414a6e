"""Objectives that need no labels at all."""
