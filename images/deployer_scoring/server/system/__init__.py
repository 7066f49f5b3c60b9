"""What the operating system gives: child processes, CPUs, memory."""
