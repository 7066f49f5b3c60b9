"""Accounts of the local AWS: an account in a region, and the account that it starts with, which its users' environment names."""

from __future__ import annotations

from dataclasses import dataclass

ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"
# moto reads the account from key ids of this form only.
ACCESS_KEY = "AKIADEPLOYERLOCAL000"
SECRET_KEY = "deployer-local-secret-not-a-secret"
ROLE_NAME = "deployer-sagemaker"


@dataclass(frozen=True, slots=True)
class AccountRegion:
    """An account in a region."""

    account: str
    region: str

    @property
    def partition(self) -> str:
        """The first part of an ARN: China and GovCloud have their own."""
        return "aws-cn" if self.region.startswith("cn-") else "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    def arn(self, kind: str, name: str) -> str:
        """SageMaker writes names in ARNs in lower case."""
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account}:{kind}/{name.lower()}"
