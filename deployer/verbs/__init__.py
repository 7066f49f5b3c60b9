"""What one command does, for the command line and the Python API alike."""
