"""What runs on desktops only: audio files, and the command line."""
