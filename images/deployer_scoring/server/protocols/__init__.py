"""What paths mean: MLflow's scoring protocol, the Open Inference Protocol, SageMaker's multi-model endpoints, what the server says of itself."""
