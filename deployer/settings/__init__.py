"""Where an option's value comes from: the command, the environment, a file, a default."""
