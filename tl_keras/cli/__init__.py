"""The command line `tl-keras`: one command a file."""
