"""What AWS says when something is wrong, as our errors: which answers are worth asking again, which are a definite no, and what to do about it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer.errors import ConfigInvalid, CredentialsInvalid, DeployerError, PermissionDenied, QuotaExceeded, Refused, TargetUnavailable

THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "SlowDown",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
    }
)
UNSETTLED = frozenset({"ConcurrentUpdateException", "OperationAborted", "RequestTimeout", "RequestTimeoutException", "ModelNotReadyException"})
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
UNKNOWN_IDENTITY = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "AuthFailure",
        "InvalidToken",
        "RequestTimeTooSkewed",
    }
)
DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403", "AllAccessDisabled", "KMS.DisabledException"}
)
QUOTA = frozenset({"ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "LimitExceeded", "TooManyBuckets"})
OVERTAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
"""Of a conditional write: somebody else wrote first."""
_VALIDATION = frozenset({"ValidationException", "ValidationError"})
ABSENT = frozenset(
    {
        "404",
        "NotFound",
        "NoSuchKey",
        "NoSuchBucket",
        "NoSuchUpload",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "ObjectNotFoundException",
        "NoSuchEntity",
        "RepositoryNotFoundException",
        "ImageNotFoundException",
    }
)


_ENUM = re.compile(r"Value '(?P<given>[^']*)' at .*?Member must satisfy (?P<list>enum value set: \[(?P<known>[^\]]*)\])", re.DOTALL)
_MANY = 12
_ROLE_ADVICE = "execution_role_arn names a role that is there, and whose trust policy lets sagemaker.amazonaws.com assume it"


@dataclass(frozen=True, slots=True)
class AwsFaults:
    """AWS's table for the seam; `region` is for an error's words."""

    region: str

    def transient(self, error: BaseException) -> bool:
        return transient(error)

    def unreached(self, error: BaseException) -> bool:
        from botocore import exceptions

        return isinstance(error, (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError, exceptions.ProxyConnectionError))

    def expired(self, error: BaseException) -> bool:
        return code_of(error) in EXPIRED

    def translated(self, error: Exception, operation: str) -> DeployerError | None:
        of_botocore = type(error).__module__.partition(".")[0] in ("botocore", "boto3", "urllib3")
        return translated(error, operation, self.region) if of_botocore else None


class Absent(Refused):
    """The call is about something that isn't there."""


class AlreadyThere(Refused):
    """What the call would make is there already."""


def transient(error: BaseException) -> bool:
    """Whether the same call may well go through a moment later."""
    from botocore import exceptions, parsers

    if isinstance(error, exceptions.ClientError):
        code, status = code_of(error), _status(error)
        # 501 is a no: what isn't implemented won't be a moment later.
        return code in THROTTLED or code in UNSETTLED or status == 429 or (status >= 500 and status != 501)
    # A certificate that isn't trusted now won't be later.
    if isinstance(error, (exceptions.SSLError, exceptions.ProxyConnectionError)):
        return False
    return isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.ResponseStreamingError, parsers.ResponseParserError))


def code_of(error: BaseException) -> str:
    """AWS's error code, or "" where the error is none of AWS's answers."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def _response(error: BaseException) -> dict[str, Any]:
    """What AWS answered; botocore's connection errors have a `response` too, which is None."""
    return getattr(error, "response", None) or {}


def headers_of(answer: Mapping[str, Any] | None) -> Mapping[str, str]:
    """The headers of an answer of AWS, an error's or another one, their names in lower case."""
    return dict((answer or {}).get("ResponseMetadata", {}).get("HTTPHeaders", {}))


def text_of(error: BaseException) -> str:
    """AWS's own sentence."""
    return str(_response(error).get("Error", {}).get("Message", "")) or str(error)


def translated(error: BaseException, operation: str, region: str) -> DeployerError:
    """Our error for what botocore raised while calling `operation` ("sagemaker CreateModel")."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return _answer(error, operation)
    why = str(error)
    for kinds, ours, message, advice in (
        (
            (exceptions.NoCredentialsError, exceptions.PartialCredentialsError),
            CredentialsInvalid,
            "no AWS credentials were found",
            "aws configure, aws sso login, or AWS_PROFILE",
        ),
        ((exceptions.ProfileNotFound,), ConfigInvalid, "the AWS profile doesn't exist", "AWS_PROFILE names a profile of ~/.aws/config"),
        (
            (exceptions.SSOError, exceptions.TokenRetrievalError, exceptions.CredentialRetrievalError, exceptions.MetadataRetrievalError),
            CredentialsInvalid,
            "the AWS credentials can't be had",
            "aws sso login, or renew the profile's credentials",
        ),
        (
            (exceptions.NoRegionError, exceptions.InvalidRegionError, exceptions.UnknownRegionError),
            ConfigInvalid,
            "no valid AWS region is given",
            "-t sagemaker:/REGION, or AWS_REGION",
        ),
        (
            (exceptions.ParamValidationError,),
            Refused,
            f"{operation} was asked for with wrong parameters",
            "please report this, with --debug's output",
        ),
    ):
        if isinstance(error, kinds):
            return ours(message, why=why, advice=advice)
    advice = f"is {region} a region of AWS, and can this machine reach it (proxy, VPN, endpoint_url)? The same command resumes"
    return TargetUnavailable(f"AWS can't be reached: {operation}", why=why, advice=advice)


def _answer(error: Any, operation: str) -> DeployerError:
    code, why = code_of(error), _shortened(text_of(error))
    if transient(error):
        what = "throttles" if code in THROTTLED or _status(error) == 429 else "answers with errors"
        return TargetUnavailable(f"AWS {what}: {operation}", why=f"{code}: {why}", advice="nothing was undone; the same command resumes")
    if code in ABSENT or (code in _VALIDATION and _says_absent(why)):
        return Absent(f"{operation}: not there", why=why)
    if "already exist" in why.lower() or code.endswith("AlreadyExistsException") or code in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
        return AlreadyThere(f"{operation}: there already", why=why)
    for codes, ours, message, advice in (
        (EXPIRED, CredentialsInvalid, "the AWS credentials have expired", "renew them (aws sso login); the same command resumes"),
        (UNKNOWN_IDENTITY, CredentialsInvalid, "AWS doesn't accept the credentials", "aws sts get-caller-identity tests them"),
        (DENIED, PermissionDenied, f"{operation} is not allowed", "docs/sagemaker.md has the policy that is needed; deploy doctor looks at it"),
        (
            QUOTA,
            QuotaExceeded,
            f"{operation} is over the account's quota",
            "ask for more in the Service Quotas console, or use another instance_type",
        ),
    ):
        if code in codes:
            return ours(message, why=f"{code}: {why}", advice=advice)
    return Refused(f"{operation} was refused", why=f"{code}: {why}", advice=_ROLE_ADVICE if "assume role" in why.lower() else "")


def _shortened(text: str) -> str:
    """AWS lists all values that it takes, three hundred instance types among them: the nearest one says as much."""
    found = _ENUM.search(text)
    if not found or found["known"].count(",") < _MANY:
        return text
    known = found["known"].split(", ")
    near = difflib.get_close_matches(found["given"], known, n=1)
    return f"{text[: found.start('list')]}one of {len(known)} values" + (f"; did you mean {near[0]}?" if near else "") + text[found.end("list") :]


def _says_absent(text: str) -> bool:
    """SageMaker answers ValidationException where others have a not-found code; only its words tell."""
    low = text.lower()
    return any(words in low for words in ("could not find", "does not exist", "not found", "no scalable target found"))


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
