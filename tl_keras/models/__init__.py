"""The model that everything else works on, its head, and models made of models."""
