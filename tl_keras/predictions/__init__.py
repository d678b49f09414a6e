"""Predictions of files and other data as a table, from Python and on the command line."""
