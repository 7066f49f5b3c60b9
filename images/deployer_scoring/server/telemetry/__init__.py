"""What is told of requests: the access log, metrics, traces."""
