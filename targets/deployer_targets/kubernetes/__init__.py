"""Kubernetes: any cluster that a kubeconfig reaches."""
