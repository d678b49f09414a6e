"""What the package has to survive: hostile files, kills, full disks."""
