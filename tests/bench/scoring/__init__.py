"""The scoring server beside MLflow's own and BentoML, over sockets, in one run."""
