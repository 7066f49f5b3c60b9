"""What the engines have that tests start: scripts/docker-engine and scripts/kubernetes-engine."""
