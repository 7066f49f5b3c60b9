"""The account that the local AWS starts with: what its users' environment names."""

from __future__ import annotations

ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"
# moto reads the account from key ids of this form only.
ACCESS_KEY = "AKIADEPLOYERLOCAL000"
SECRET_KEY = "deployer-local-secret-not-a-secret"
ROLE_NAME = "deployer-sagemaker"
