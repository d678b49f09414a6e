"""What every other room may use: errors, checks of arguments, memory, files, locks, the cluster."""
