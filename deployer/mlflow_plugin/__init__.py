"""MLflow's deployment plugins: a module a target, for the entry points that `mlflow deployments -t deployer-TARGET` reads."""
