"""A model of the cloud: SageMaker's state machine beside an object store, in the APIs' own names and shapes, deterministic and quick to copy.

Time is a count of seconds; each call takes one, and a wait is a jump. What the real services refuse is refused here with their codes and words.
Beside what a real cloud does, it notes at once what no client may ever do (`violations`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.simulation.objects import ObjectStore
from tests.simulation.service import Answer, ServiceError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the data plane does (`serving`, a config, or nothing yet) and what it is busy with until `due`. `weights`: of the variants, by name."""

    name: str
    status: str
    serving: str | None = None
    incoming: str | None = None
    weights: tuple[tuple[str, float], ...] = ()
    incoming_weights: tuple[tuple[str, float], ...] = ()
    count: int = 1
    incoming_count: int = 1
    due: int | None = None
    reason: str = ""
    changed: int = 0
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The configs that a container runs for, or is being started for."""
        if self.status in ("Failed", "Deleting"):
            return ()
        return tuple(config for config in (self.serving, self.incoming) if config)


REQUESTS = 100
"""As many as CloudWatch counts for each share of the traffic."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What differs from cloud to cloud: how long a rollout and a deletion take, by how much lists lag behind (seconds), what can't be loaded.

    `broken`: a model whose data's address or environment contains one of these crashes while it loads; `failing`: one answers with errors.
    """

    rollout: int = 7
    deletion: int = 3
    lag: int = 0
    broken: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()


@dataclass(slots=True)
class Cloud(ObjectStore):
    """All state. The public ways in are `call`, `wait` and `fork`. `told`: the candidate and share that a client last told its user of."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    time: int = 0
    models: dict[str, Answer] = field(default_factory=dict)
    configs: dict[str, Answer] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    may_delete: set[str] = field(default_factory=set)
    told: tuple[str, float] = ("", 0.0)
    _listed: dict[str, dict[str, Any]] = field(default_factory=lambda: {"model": {}, "config": {}, "endpoint": {}})
    _unlisted: list[tuple[int, str, str, Any]] = field(default_factory=list)

    def fork(self) -> Cloud:
        """A copy whose changes are its own."""
        other = copy.copy(self)
        for name in ("models", "configs", "endpoints"):
            setattr(other, name, dict(getattr(self, name)))
        self.fork_objects(other)
        other.violations, other._unlisted = list(self.violations), list(self._unlisted)
        other.may_delete = set(self.may_delete)
        other._listed = {kind: dict(found) for kind, found in self._listed.items()}
        return other

    def call(self, actor: str, api: str, parameters: Answer) -> Answer:
        """One API call, named as boto3's method.

        Raises:
            ServiceError: refused.
        """
        self.wait(1)
        operation = getattr(self, f"_{api}")
        if not api.startswith(("delete_", "put_")):
            answer: Answer = operation(actor, parameters)
            self.violations += [f"{actor}: {odd}" for odd in self.odd]
            self.odd.clear()
            return answer
        before = self._gaps()
        answer = operation(actor, parameters)
        self.violations += [f"{actor} took away {gap} by {api}" for gap in self._gaps() - before]
        return answer

    def wait(self, seconds: float) -> None:
        """Let time pass, a second at least."""
        self.time += int(seconds) or 1
        if self.endpoints:
            for endpoint in tuple(self.endpoints.values()):
                if endpoint.due is not None and endpoint.due <= self.time:
                    self._arrive(endpoint)
        if self._unlisted and self._unlisted[0][0] <= self.time:
            self._catch_up()

    # The data plane.

    def _arrive(self, endpoint: Endpoint) -> None:
        if endpoint.status == "Deleting":
            del self.endpoints[endpoint.name]
            self._changed("endpoint", endpoint.name, None)
        elif endpoint.incoming and self._loads(endpoint.incoming):
            self._set(
                replace(
                    endpoint,
                    status="InService",
                    serving=endpoint.incoming,
                    incoming=None,
                    weights=weights_of(self.configs[endpoint.incoming]),
                    count=endpoint.incoming_count,
                    due=None,
                    reason="",
                )
            )
        elif endpoint.incoming and endpoint.serving:
            self._set(replace(endpoint, status="InService", incoming=None, due=None, reason="the container exited with code 1"))
        elif endpoint.incoming:
            self._set(replace(endpoint, status="Failed", due=None, reason="the container exited with code 1"))
        else:
            weights = endpoint.incoming_weights or endpoint.weights
            self._set(replace(endpoint, status="InService", count=endpoint.incoming_count, weights=weights, incoming_weights=(), due=None))

    def _loads(self, config: str) -> bool:
        """Whether containers for this config come to answer: everything that it leads to is there, and the model is sound."""
        if config not in self.configs:
            return False
        models = [self.models.get(name) for name in models_of(self.configs[config])]
        if any(model is None or data_of(model) not in self.objects for model in models):
            return False
        return not any(mark in repr(models) for mark in self.behaviour.broken)

    def _set(self, endpoint: Endpoint) -> None:
        endpoint = replace(endpoint, changed=self.time)
        self.endpoints[endpoint.name] = endpoint
        self._changed("endpoint", endpoint.name, endpoint)

    # What no client may ever do.

    def _gaps(self) -> set[str]:
        """What an endpoint runs on, or is being started on, and that isn't there."""
        gaps = ((endpoint, self.missing(config)) for endpoint in self.endpoints.values() for config in endpoint.leads_to)
        return {f"{gap}, which {endpoint.name} ({endpoint.status}) runs on," for endpoint, gap in gaps if gap}

    def missing(self, config: str) -> str:
        """The first thing that a config leads to and that isn't there; empty where all is."""
        if config not in self.configs:
            return f"endpoint config {config}"
        for model in models_of(self.configs[config]):
            if model not in self.models:
                return f"model {model}"
            data = data_of(self.models[model])
            if data not in self.objects:
                return f"object {data}"
        told_by = [config] if len(weights_of(self.configs[config])) == 1 else models_of(self.configs[config])
        for name in told_by:
            if not any(is_record(key) and name in body.decode() for key, body in self.objects.items()):
                return f"the record of {name}"
        return ""

    # Lists that lag.

    def _changed(self, kind: str, name: str, value: Any) -> None:
        if self.behaviour.lag:
            self._unlisted.append((self.time + self.behaviour.lag, kind, name, value))
        else:
            _put(self._listed[kind], name, value)

    def _catch_up(self) -> None:
        while self._unlisted and self._unlisted[0][0] <= self.time:
            _, kind, name, value = self._unlisted.pop(0)
            _put(self._listed[kind], name, value)

    # SageMaker.

    def _create_model(self, _: str, wanted: Answer) -> Answer:
        name = wanted["ModelName"]
        if name in self.models:
            raise ServiceError("ValidationException", f'Cannot create already existing model "{name}".')
        if data_of(wanted) not in self.objects:
            raise ServiceError("ValidationException", f"Could not access model data at {data_of(wanted)}.")
        self.models[name] = dict(wanted)
        self._changed("model", name, wanted)
        return {"ModelArn": arn("model", name)}

    def _describe_model(self, _: str, wanted: Answer) -> Answer:
        return {**_found(self.models, wanted["ModelName"], "model"), "ModelArn": arn("model", wanted["ModelName"])}

    def _delete_model(self, _: str, wanted: Answer) -> Answer:
        _found(self.models, wanted["ModelName"], "model")
        del self.models[wanted["ModelName"]]
        self._changed("model", wanted["ModelName"], None)
        return {}

    def _list_models(self, _: str, wanted: Answer) -> Answer:
        return {"Models": self._list("model", "Model", wanted)}

    def _create_endpoint_config(self, _: str, wanted: Answer) -> Answer:
        name = wanted["EndpointConfigName"]
        if name in self.configs:
            raise ServiceError("ValidationException", f'Cannot create already existing endpoint configuration "{name}".')
        for model in models_of(wanted):
            _found(self.models, model, "model")
        self.configs[name] = dict(wanted)
        self._changed("config", name, wanted)
        return {"EndpointConfigArn": arn("endpoint-config", name)}

    def _describe_endpoint_config(self, _: str, wanted: Answer) -> Answer:
        name = wanted["EndpointConfigName"]
        return {**_found(self.configs, name, "endpoint configuration"), "EndpointConfigArn": arn("endpoint-config", name)}

    def _delete_endpoint_config(self, _: str, wanted: Answer) -> Answer:
        _found(self.configs, wanted["EndpointConfigName"], "endpoint configuration")
        del self.configs[wanted["EndpointConfigName"]]
        self._changed("config", wanted["EndpointConfigName"], None)
        return {}

    def _list_endpoint_configs(self, _: str, wanted: Answer) -> Answer:
        return {"EndpointConfigs": self._list("config", "EndpointConfig", wanted)}

    def _create_endpoint(self, _: str, wanted: Answer) -> Answer:
        name, config = wanted["EndpointName"], wanted["EndpointConfigName"]
        if name in self.endpoints:
            raise ServiceError("ValidationException", f'Cannot create already existing endpoint "{name}".')
        count = count_of(_found(self.configs, config, "endpoint configuration"))
        tags = tuple((tag["Key"], tag["Value"]) for tag in wanted.get("Tags", ()))
        due = self.time + self.behaviour.rollout
        self._set(Endpoint(name, "Creating", incoming=config, count=count, incoming_count=count, due=due, tags=tags))
        return {"EndpointArn": arn("endpoint", name)}

    def _update_endpoint(self, _: str, wanted: Answer) -> Answer:
        config = wanted["EndpointConfigName"]
        endpoint = self._at_rest(wanted["EndpointName"])
        count = count_of(_found(self.configs, config, "endpoint configuration"))
        kept = endpoint.count if wanted.get("RetainAllVariantProperties") else count
        due = self.time + self.behaviour.rollout
        self._set(replace(endpoint, status="Updating", incoming=config, incoming_count=kept, due=due, reason=""))
        return {"EndpointArn": arn("endpoint", endpoint.name)}

    def _update_endpoint_weights_and_capacities(self, _: str, wanted: Answer) -> Answer:
        endpoint = self._at_rest(wanted["EndpointName"])
        asked = {each["VariantName"]: each for each in wanted["DesiredWeightsAndCapacities"]}
        if unknown := asked.keys() - dict(endpoint.weights).keys():
            raise ServiceError("ValidationException", f"The variant name(s) {sorted(unknown)} is/are not present within endpoint.")
        count = next((each["DesiredInstanceCount"] for each in asked.values() if "DesiredInstanceCount" in each), endpoint.count)
        weights = tuple((name, asked.get(name, {}).get("DesiredWeight", weight)) for name, weight in endpoint.weights)
        due = self.time + self.behaviour.rollout
        self._set(replace(endpoint, status="Updating", incoming_count=count, incoming_weights=weights, due=due))
        return {"EndpointArn": arn("endpoint", endpoint.name)}

    def _at_rest(self, name: str) -> Endpoint:
        endpoint: Endpoint = _found(self.endpoints, name, "endpoint")
        if endpoint.status != "InService":
            raise ServiceError("ValidationException", f'Cannot update in-progress endpoint "{name}": it is {endpoint.status}.')
        return endpoint

    def _describe_endpoint(self, _: str, wanted: Answer) -> Answer:
        endpoint: Endpoint = _found(self.endpoints, wanted["EndpointName"], "endpoint")
        config = endpoint.serving or endpoint.incoming or ""
        weights = endpoint.weights or (weights_of(self.configs[config]) if config in self.configs else ())
        desired = dict(endpoint.incoming_weights or weights)
        counts = {"CurrentInstanceCount": endpoint.count, "DesiredInstanceCount": endpoint.incoming_count}
        variants = [{"VariantName": name, "CurrentWeight": now, "DesiredWeight": desired[name], **counts} for name, now in weights]
        answer: dict[str, Any] = {
            "EndpointName": endpoint.name,
            "EndpointArn": arn("endpoint", endpoint.name),
            "EndpointConfigName": config,
            "EndpointStatus": endpoint.status,
            "LastModifiedTime": endpoint.changed,
            "ProductionVariants": variants,
        }
        if endpoint.reason:
            answer["FailureReason"] = endpoint.reason
        if endpoint.status == "Updating" and endpoint.incoming:
            pending = [{"VariantName": name} for name, _ in weights_of(self.configs.get(endpoint.incoming, {}))]
            answer["PendingDeploymentSummary"] = {"EndpointConfigName": endpoint.incoming, "ProductionVariants": pending}
        return answer

    def _delete_endpoint(self, actor: str, wanted: Answer) -> Answer:
        endpoint: Endpoint = _found(self.endpoints, wanted["EndpointName"], "endpoint")
        if endpoint.status in ("Creating", "Updating", "Deleting"):
            raise ServiceError("ValidationException", f'Cannot delete in-progress endpoint "{endpoint.name}": it is {endpoint.status}.')
        if endpoint.serving and actor not in self.may_delete:
            self.violations.append(f"{actor} deleted {endpoint.name} while it served {endpoint.serving}")
        self._set(replace(endpoint, status="Deleting", incoming=None, due=self.time + self.behaviour.deletion))
        return {}

    def _list_endpoints(self, _: str, wanted: Answer) -> Answer:
        return {"Endpoints": self._list("endpoint", "Endpoint", wanted)}

    def _get_metric_data(self, _: str, wanted: Answer) -> Answer:
        """Of each variant that has a share: as many requests as are looked for, all of them errors where the model answers with those."""
        results = []
        for query in wanted["MetricDataQueries"]:
            told = {each["Name"]: each["Value"] for each in query["MetricStat"]["Metric"]["Dimensions"]}
            metric, endpoint = query["MetricStat"]["Metric"]["MetricName"], self.endpoints.get(told["EndpointName"])
            asked = REQUESTS if endpoint and dict(endpoint.weights).get(told["VariantName"]) else 0
            values = {"Invocations": asked, "Invocation5XXErrors": asked * self._fails(endpoint, told["VariantName"]), "ModelLatency": 1000}
            results.append({"Id": query["Id"], "Values": [float(values[metric])] if asked else []})
        return {"MetricDataResults": results}

    def _fails(self, endpoint: Endpoint | None, variant: str) -> bool:
        """Whether the model of a variant answers with errors."""
        config = self.configs.get(endpoint.serving or "", {}) if endpoint else {}
        models = [self.models.get(each["ModelName"], {}) for each in config.get("ProductionVariants", ()) if each["VariantName"] == variant]
        return any(mark in repr(models) for mark in self.behaviour.failing)

    def _list(self, kind: str, word: str, wanted: Answer) -> list[Answer]:
        part = wanted.get("NameContains", "")
        kept = {"model": "model", "config": "endpoint-config", "endpoint": "endpoint"}[kind]
        return [{f"{word}Name": name, f"{word}Arn": arn(kept, name)} for name in sorted(self._listed[kind]) if part in name]

    def _list_tags(self, _: str, wanted: Answer) -> Answer:
        kind, name = wanted["ResourceArn"].rpartition(":")[2].split("/")
        if kind == "endpoint":
            tags = dict(_found(self.endpoints, name, kind).tags)
            return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        return {"Tags": list(_found(self.models if kind == "model" else self.configs, name, kind).get("Tags", ()))}

    def _add_tags(self, _: str, wanted: Answer) -> Answer:
        kind, name = wanted["ResourceArn"].rpartition(":")[2].split("/")
        tags = {tag["Key"]: tag["Value"] for tag in wanted["Tags"]}
        if kind == "endpoint":
            endpoint = _found(self.endpoints, name, kind)
            self._set(replace(endpoint, tags=tuple(({**dict(endpoint.tags), **tags}).items())))
        else:
            found = self.models if kind == "model" else self.configs
            merged = {**{tag["Key"]: tag["Value"] for tag in _found(found, name, kind).get("Tags", ())}, **tags}
            found[name] = {**found[name], "Tags": [{"Key": key, "Value": value} for key, value in merged.items()]}
        return {}


def model_of(config: Answer) -> str:
    """The model that an endpoint config leads to; of two, that of the one which was there first."""
    return models_of(config)[0]


def models_of(config: Answer) -> list[str]:
    """All models that it leads to."""
    return [str(variant["ModelName"]) for variant in config["ProductionVariants"]]


def weights_of(config: Answer) -> tuple[tuple[str, float], ...]:
    """Its variants and their first weights."""
    return tuple((str(each["VariantName"]), float(each["InitialVariantWeight"])) for each in config.get("ProductionVariants", ()))


def count_of(config: Answer) -> int:
    return int(config["ProductionVariants"][0].get("InitialInstanceCount", 1))


def data_of(model: Answer) -> str:
    """The key of a model's data, its bucket left out."""
    container = model["PrimaryContainer"]
    url: str = container.get("ModelDataUrl") or container["ModelDataSource"]["S3DataSource"]["S3Uri"]
    return url.removeprefix("s3://").partition("/")[2]


def is_record(key: str) -> bool:
    """Whether an object is a generation's record, by its place."""
    return "/records/" in key or "/generations/" in key


def arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:us-west-2:123456789012:{kind}/{name}"


def _found(resources: Mapping[str, Any], name: str, word: str) -> Any:
    if name not in resources:
        raise ServiceError("ValidationException", f'Could not find {word} "{name}".')
    return resources[name]


def _put(resources: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        resources.pop(name, None)
    else:
        resources[name] = value
