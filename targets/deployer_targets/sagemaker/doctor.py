"""All that a deployment would need, looked at one by one before anything starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from deployer.core.target import Diagnosis, Verdict
from deployer.errors import DeployerError
from deployer_targets.sagemaker import buckets, places
from deployer_targets.sagemaker.client import Aws
from deployer_targets.sagemaker.config import SageMakerConfig
from deployer_targets.sagemaker.registry import CONTAINER_NAME, registry

ACTIONS = (
    "sagemaker:CreateModel",
    "sagemaker:CreateEndpointConfig",
    "sagemaker:CreateEndpoint",
    "sagemaker:UpdateEndpoint",
    "sagemaker:UpdateEndpointWeightsAndCapacities",
    "sagemaker:DeleteModel",
    "sagemaker:DeleteEndpointConfig",
    "sagemaker:DeleteEndpoint",
    "sagemaker:DescribeModel",
    "sagemaker:DescribeEndpointConfig",
    "sagemaker:DescribeEndpoint",
    "sagemaker:ListModels",
    "sagemaker:ListEndpointConfigs",
    "sagemaker:ListEndpoints",
    "sagemaker:ListTags",
    "sagemaker:AddTags",
    "sagemaker:DeleteTags",
    "sagemaker:InvokeEndpoint",
    "s3:ListBucket",
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListBucketMultipartUploads",
    "s3:ListMultipartUploadParts",
    "ecr:GetAuthorizationToken",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "logs:DescribeLogStreams",
    "logs:GetLogEvents",
    "logs:FilterLogEvents",
    "application-autoscaling:DescribeScalableTargets",
)
"""What create, update, delete, predict and logs call; docs/sagemaker.md has the policy."""


_LAST_IMAGES = 5
PATIENCE_SECONDS = 5.0
"""How long one look asks again: what is wrong for that long is what the user wants to know."""


def findings(cloud: Aws) -> Iterator[Diagnosis]:
    """One finding after the other; none raises. Without working credentials the rest isn't asked."""
    config = cloud.config
    cloud.connection.seam.deadline_seconds = PATIENCE_SECONDS
    known = _looked("credentials", lambda: _credentials(cloud))
    yield known
    if known.verdict is Verdict.WRONG:
        return
    yield _looked("permissions", lambda: _permissions(cloud))
    yield _looked("execution role", lambda: _role(cloud, config))
    yield _looked("bucket", lambda: _bucket(cloud))
    yield _looked("registry", lambda: _registry(cloud))
    yield _looked("bytecode", lambda: _bytecode(cloud))
    yield _looked("sagemaker", lambda: _sagemaker(cloud))
    yield _looked("quota", lambda: _quota(cloud, config))


def _looked(subject: str, look: Callable[[], Diagnosis]) -> Diagnosis:
    try:
        return look()
    except DeployerError as error:
        return Diagnosis(subject, Verdict.WRONG, f"{error.message}{': ' + error.why if error.why else ''}", error.advice)
    except Exception as error:  # a finding never raises
        return Diagnosis(subject, Verdict.WARNING, f"couldn't be looked at: {type(error).__name__}: {error}")


def _credentials(cloud: Aws) -> Diagnosis:
    who = cloud.identity
    return Diagnosis("credentials", Verdict.OK, f"{who.arn}, account {who.account}, region {cloud.region}")


def _permissions(cloud: Aws) -> Diagnosis:
    """By IAM's own simulation of the caller's policies, where the caller may ask for it."""
    try:
        found = list(
            cloud.pages(
                "iam", "simulate_principal_policy", "EvaluationResults", PolicySourceArn=_principal(cloud), ActionNames=list(ACTIONS), MaxItems=100
            )
        )
    except DeployerError as error:
        return Diagnosis(
            "permissions", Verdict.WARNING, f"not simulated: {error.why or error.message}", "docs/sagemaker.md has the policy that is needed"
        )
    denied = [each["EvalActionName"] for each in found if each["EvalDecision"] != "allowed"]
    if denied:
        return Diagnosis("permissions", Verdict.WRONG, f"not allowed: {', '.join(denied)}", "docs/sagemaker.md has the policy that is needed")
    return Diagnosis("permissions", Verdict.OK, f"all {len(ACTIONS)} actions that are used are allowed")


def _principal(cloud: Aws) -> str:
    """The user or the role itself: of a session IAM knows no policies."""
    who = cloud.identity
    kind, _, rest = who.arn.split(":", 5)[-1].partition("/")
    return f"arn:{who.partition}:iam::{who.account}:role/{rest.split('/')[0]}" if kind == "assumed-role" else who.arn


def _role(cloud: Aws, config: SageMakerConfig) -> Diagnosis:
    arn = config.execution_role_arn
    if not arn:
        return Diagnosis(
            "execution role",
            Verdict.WARNING,
            "none is configured",
            "execution_role_arn, or Model.ExecutionRoleArn in the SageMaker SDK's config.yaml",
        )
    places.check_role(cloud, arn)
    role = cloud.find("iam", "get_role", RoleName=arn.rpartition("/")[2])
    if role is None:
        return Diagnosis("execution role", Verdict.WRONG, f"{arn} doesn't exist", "execution_role_arn names another")
    if "sagemaker.amazonaws.com" not in str(role["Role"].get("AssumeRolePolicyDocument")):
        return Diagnosis("execution role", Verdict.WRONG, f"SageMaker may not assume {arn}", "its trust policy must name sagemaker.amazonaws.com")
    return Diagnosis("execution role", Verdict.OK, arn)


def _bucket(cloud: Aws) -> Diagnosis:
    name = cloud.default_bucket
    places.check_bucket(cloud, name)
    there = buckets.is_there(cloud, name)
    if not there and cloud.config.bucket:
        return Diagnosis("bucket", Verdict.WARNING, f"{name} isn't there", "the first deployment makes it")
    return Diagnosis("bucket", Verdict.OK, name if there else f"{name}, which the first deployment makes")


def _registry(cloud: Aws) -> Diagnosis:
    from deployer.oci import general_tag

    repository = registry(cloud).repository(CONTAINER_NAME, create=False)
    tags = repository.tags()
    if not tags:
        advice = "deploy build-and-push-container"
        return Diagnosis("image", Verdict.WRONG, f"{repository.uri} has no scoring image", advice)
    ours = general_tag("")
    verdict = Verdict.OK if ours in tags else Verdict.WARNING
    return Diagnosis(
        "image",
        verdict,
        f"{repository.uri}: {', '.join(sorted(tags)[-5:])}",
        "" if ours in tags else f"{ours} isn't there: deploy build-and-push-container",
    )


def _bytecode(cloud: Aws) -> Diagnosis:
    """Of the last images with a layer of packages those whose starts compile it."""
    from deployer.oci import labels

    repository = registry(cloud).repository(CONTAINER_NAME, create=False)
    own = sorted(tag for tag in repository.tags() if re.search(r"-py\d+-[0-9a-f]{10}$", tag))[-_LAST_IMAGES:]
    known = {tag: repository.config(repository.manifest(tag)).labels for tag in own}
    without = [tag for tag, said in known.items() if said.get(labels.BYTECODE) == "false" and labels.STAND_IN not in said]
    if not without:
        return Diagnosis("bytecode", Verdict.OK, "no image compiles its packages when it starts")
    cost = "each start compiles what it imports, for scikit-learn with pandas 2 s of a processor"
    advice = "deploy models packages -m MODEL --build, where that Python is installed and the layer isn't there yet"
    return Diagnosis("bytecode", Verdict.WARNING, f"{', '.join(without)}: made where there was no such Python; {cost}", advice)


def _sagemaker(cloud: Aws) -> Diagnosis:
    page = cloud.call("sagemaker", "list_endpoints", MaxResults=1)
    return Diagnosis("sagemaker", Verdict.OK, "answers" + ("" if page["Endpoints"] else ", no endpoints yet"))


def _quota(cloud: Aws, config: SageMakerConfig) -> Diagnosis:
    """How many instances of the type the account may have on endpoints."""
    instance_type = config.instance_type
    wanted = f"{instance_type} for endpoint usage"
    try:
        quotas = cloud.pages("service-quotas", "list_service_quotas", "Quotas", ServiceCode="sagemaker", MaxResults=100)
        value = next((quota["Value"] for quota in quotas if quota["QuotaName"] == wanted), None)
    except DeployerError as error:
        return Diagnosis("quota", Verdict.WARNING, f"not told: {error.why or error.message}")
    if value is None:
        return Diagnosis("quota", Verdict.WARNING, f"AWS names none for {wanted}")
    if value < 1:
        return Diagnosis(
            "quota", Verdict.WRONG, f"0 {instance_type} on endpoints", "ask for more in the Service Quotas console, or use another instance_type"
        )
    return Diagnosis("quota", Verdict.OK, f"{value:.0f} {instance_type} on endpoints")
