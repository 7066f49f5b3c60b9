"""What the live suites share: scripts/conformance_live and scripts/conformance_live_azureml."""
