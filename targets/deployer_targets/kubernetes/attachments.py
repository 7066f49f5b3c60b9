"""The objects that options put beside a deployment's pods and Service, as they are to be for a state of its traffic. Pure.

Those of a generation carry its label and its name, the others the deployment's. None of them makes a generation: they follow the traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deployer.core.rollout import Traffic
from deployer.core.state import DeploymentName, Resource, Share
from deployer_targets.kubernetes import names
from deployer_targets.kubernetes.attachment_options import Autoscaling, Disruption, GatewayRoute, Ingress, Monitoring, NetworkPolicy
from deployer_targets.kubernetes.config import KubernetesConfig
from deployer_targets.kubernetes.drift import Object, drift
from deployer_targets.kubernetes.manifests import GRPC_PORT, PORT, SERVICE_PORT, Manifest, patched

AUTOSCALER, ROUTE, BACKEND = "HorizontalPodAutoscaler", "HTTPRoute", "Service"
KINDS = (ROUTE, "Ingress", AUTOSCALER, "PodDisruptionBudget", "NetworkPolicy", "PodMonitor", "ServiceMonitor", BACKEND)
"""In the order in which they go."""
_STILL = {"selectPolicy": "Disabled"}
_ANY = 1_000_000
"""More pods than there ever are: the bound of an autoscaler that is to do nothing."""


def attachments(name: DeploymentName, config: KubernetesConfig, traffic: Traffic) -> tuple[Manifest, ...]:
    """All that the options ask for; in the newest version that is known."""
    return tuple(each if is_backend(each, name) else patched(config, each) for each in _asked(name, config, traffic))


def _asked(name: DeploymentName, config: KubernetesConfig, traffic: Traffic) -> Iterator[Manifest]:
    if config.autoscaling:
        yield autoscaler(name, traffic, config.autoscaling)
    if config.pdb:
        for share in traffic:
            yield budget(name, share.generation, config.pdb)
    if config.route:
        for share in traffic:
            yield backend(name, share.generation)
        yield route(name, traffic, config.route)
    if config.ingress:
        yield ingress(name, config.ingress)
    if config.network_policy:
        yield network_policy(name, config.network_policy, grpc=config.grpc)
    if config.monitoring:
        yield monitor(name, config.monitoring)


def kinds(config: KubernetesConfig) -> tuple[str, ...]:
    """The kinds that the options ask for."""
    return tuple(dict.fromkeys(each["kind"] for each in _asked(DeploymentName("any"), config, (Share("any"),))))


def missing(name: DeploymentName, config: KubernetesConfig, traffic: Traffic, there: Mapping[Resource, Object]) -> tuple[Manifest, ...]:
    """Those that aren't there, or aren't as they are to be, but for what somebody else has set."""
    return tuple(
        each
        for each in attachments(name, config, traffic)
        if (found := there.get(resource(each))) is None or any(config.force_conflicts or not one.by for one in drift(each, found))
    )


def resource(manifest: Object) -> Resource:
    """An attachment as a resource."""
    return Resource(manifest["kind"].lower(), manifest["metadata"]["name"])


def autoscaler(name: DeploymentName, traffic: Traffic, config: Autoscaling) -> Manifest:
    """Of the generation that has all of the traffic. While two share it, their numbers of pods are the shares: it does nothing then."""
    alone = next((share.generation for share in traffic if share.percent == 100), None)
    spec: Manifest = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": names.of_generation(name, alone or _first(traffic))},
        "minReplicas": config.min if alone else 1,
        "maxReplicas": config.max if alone else _ANY,
        "metrics": [
            *(_metric("Resource", {"name": each}, "Utilization", averageUtilization=share) for each, share in config.shares.items()),
            *(_metric("Pods", {"metric": {"name": each}}, "AverageValue", averageValue=value) for each, value in sorted(config.metrics.items())),
        ],
        **({} if alone else {"behavior": {"scaleUp": _STILL, "scaleDown": _STILL}}),
    }
    return _named("autoscaling/v2", AUTOSCALER, name, spec)


def budget(name: DeploymentName, generation: str, config: Disruption) -> Manifest:
    """What may be taken from a generation at once."""
    spec = {"maxUnavailable": config.max_unavailable, "selector": {"matchLabels": names.selector(name, generation)}}
    return _named("policy/v1", "PodDisruptionBudget", name, spec, generation)


def is_backend(found: Object, name: DeploymentName) -> bool:
    """Whether it is a Service that a route leads to; the deployment's own has its name."""
    return bool(found["kind"] == BACKEND and found["metadata"]["name"] != name)


def backend(name: DeploymentName, generation: str) -> Manifest:
    """The Service of one generation, which a route has weights for; it stays as long as the generation's Deployment."""
    return _named("v1", BACKEND, name, {"selector": names.selector(name, generation), "ports": [SERVICE_PORT]}, generation)


def route(name: DeploymentName, traffic: Traffic, config: GatewayRoute) -> Manifest:
    """The way in that has a weight for each generation."""
    rewrite = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}
    limits = config.timeouts
    timeouts = {"request": limits.request, "backendRequest": limits.backend_request} if limits else {}
    said = {key: value for key, value in timeouts.items() if value}
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": config.path}}],
        **({"filters": [rewrite]} if config.path != "/" else {}),
        **({"timeouts": said} if said else {}),
        "backendRefs": [
            {"kind": BACKEND, "name": names.of_generation(name, each.generation), "port": SERVICE_PORT["port"], "weight": each.percent}
            for each in traffic
        ],
    }
    hostnames = {"hostnames": list(config.hostnames)} if config.hostnames else {}
    return _named("gateway.networking.k8s.io/v1", ROUTE, name, {"parentRefs": [*map(dict, config.parent_refs)], **hostnames, "rules": [rule]})


def ingress(name: DeploymentName, config: Ingress) -> Manifest:
    """The way in by the Service."""
    path = {"path": config.path, "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"name": SERVICE_PORT["name"]}}}}
    spec = {
        **({"ingressClassName": config.class_name} if config.class_name else {}),
        **({"tls": [{"hosts": [config.host], "secretName": config.tls_secret}]} if config.tls_secret else {}),
        "rules": [{**({"host": config.host} if config.host else {}), "http": {"paths": [path]}}],
    }
    made = _named("networking.k8s.io/v1", "Ingress", name, spec)
    return {**made, "metadata": {**made["metadata"], "annotations": dict(config.annotations)}} if config.annotations else made


def network_policy(name: DeploymentName, config: NetworkPolicy, *, grpc: bool = False) -> Manifest:
    """Who may ask the pods, over gRPC too where they answer that, and what they may ask: names always."""
    web, ports = {"protocol": "TCP", "port": PORT}, [{"protocol": "TCP", "port": GRPC_PORT}] if grpc else []
    asks, reads = [*map(dict, config.allow_from)], [*map(dict, config.scrapers)]
    spec = {
        "podSelector": {"matchLabels": names.selector(name)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": asks, "ports": [web, *ports]}, *([{"from": reads, "ports": [web]}] if reads else [])],
        "egress": [{"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}, *map(dict, config.egress)],
    }
    return _named("networking.k8s.io/v1", "NetworkPolicy", name, spec)


def monitor(name: DeploymentName, config: Monitoring) -> Manifest:
    """What the Prometheus operator reads: each pod with its generation, or those behind the Service."""
    endpoint, selector = {"port": SERVICE_PORT["name"], "path": "/metrics", "interval": config.interval}, {"matchLabels": names.selector(name)}
    spec: Manifest = (
        {"selector": selector, "podMetricsEndpoints": [endpoint], "podTargetLabels": [names.GENERATION]}
        if config.kind == "PodMonitor"
        else {"selector": {**selector, "matchExpressions": [{"key": names.GENERATION, "operator": "DoesNotExist"}]}, "endpoints": [endpoint]}
    )
    made = _named("monitoring.coreos.com/v1", config.kind, name, spec)
    return {**made, "metadata": {**made["metadata"], "labels": {**config.labels, **made["metadata"]["labels"]}}}


def _named(version: str, kind: str, name: DeploymentName, spec: Manifest, generation: str = "") -> Manifest:
    metadata = {
        "name": names.of_generation(name, generation) if generation else name,
        "labels": {**names.labels(name, generation), names.NAME: name},
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _first(traffic: Traffic) -> str:
    return traffic[0].generation if traffic else ""


def _metric(kind: str, what: Manifest, aim: str, **target: object) -> Manifest:
    return {"type": kind, kind.lower(): {**what, "target": {"type": aim, **target}}}
