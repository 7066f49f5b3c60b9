"""Amazon SageMaker real-time, serverless and asynchronous inference endpoints."""
