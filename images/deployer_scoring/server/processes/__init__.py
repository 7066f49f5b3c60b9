"""The server's processes, from its start to its end: the model is loaded once, workers are forked, watched, drained, replaced."""
