"""What paths mean in each state of the server, and the model APIs of multi-model endpoints; over sockets they are tested in tests/e2e."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Awaitable, Callable

import pytest

from deployer_scoring.errors import LoadError
from deployer_scoring.loaders.loading import Loaded
from deployer_scoring.model.mlmodel import MLModel, PythonFunction, parse_mlmodel
from deployer_scoring.scorer import Scorer
from deployer_scoring.server.http.messages import Request, Response
from deployer_scoring.server.predict.dispatch import Dispatcher
from deployer_scoring.server.predict.durations import Durations
from deployer_scoring.server.predict.in_loop import InLoop
from deployer_scoring.server.predict.in_process import InProcess
from deployer_scoring.server.protocols.catalog import Catalog
from deployer_scoring.server.protocols.multi_model import MultiModel
from deployer_scoring.server.protocols.service import Service
from deployer_scoring.server.settings import ServerSettings


class Echo:
    def predict(self, data: Any) -> Any:
        if str(data) == "raise":
            raise ValueError("the model says no")
        return data


def no_process() -> InProcess:
    raise AssertionError("everything here is predicted in the loop")


def dispatcher(model: MLModel | None = None, limit: int = 3) -> Dispatcher:
    """A real one, that predicts in the loop."""
    durations = Durations()
    durations.learn(10, 0.0001)
    scorer = Scorer(model or MLModel(Path(), PythonFunction("a"), {}), Loaded(Echo(), prompt=True))
    return Dispatcher(scorer.model, streams=False, limit=limit, in_loop=InLoop(scorer, durations, joins=False, recorder=None), in_process=no_process)


Ask = Callable[..., Awaitable[Response]]


def asking(service: Service) -> Ask:
    async def ask(method: str, path: str, body: Any = b"", query: dict[str, str] | None = None, **headers: str) -> Response:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await service.handle(Request(method, path, query or {}, given, sent, "id"))

    return ask


def answers(
    *requests: tuple[Any, ...], settings: ServerSettings | None = None, prepare: Callable[[Catalog], None] = lambda catalog: None
) -> list[Response]:
    """The answers of a server of one model, one request after another."""

    async def run() -> list[Response]:
        catalog = Catalog(settings or ServerSettings())
        catalog.model = dispatcher()
        prepare(catalog)
        ask = asking(Service(catalog))
        return [await ask(*request) for request in requests]

    return asyncio.run(run())


def answered(*request: Any, **options: Any) -> tuple[int, Any]:
    (response,) = answers(request, **options)
    return response.status, json.loads(response.body)


def loading(catalog: Catalog) -> None:
    catalog.model, catalog.loading = None, "loading the model"


def draining(catalog: Catalog) -> None:
    catalog.draining = True


def test_a_prediction_is_the_models_answer() -> None:
    assert answered("POST", "/invocations", {"inputs": [1]}) == (200, {"predictions": [1]})


@pytest.mark.parametrize("path", ["/ping", "/health", "/invocations", "/openapi.json", "/docs"])
def test_a_loading_server_says_what_it_does(path: str) -> None:
    (response,) = answers(("POST" if path == "/invocations" else "GET", path), prepare=loading)
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert json.loads(response.body) == {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "loading the model"}


def test_a_loading_server_is_alive_and_not_ready_for_kserve() -> None:
    assert answered("GET", "/v2/health/live", prepare=loading) == (200, {"live": True})
    assert answered("GET", "/v2/health/ready", prepare=loading) == (503, {"ready": False})
    assert answered("GET", "/v2/models/a/ready", prepare=loading) == (503, {"name": "a", "ready": False})
    assert answered("GET", "/v2/models/a", prepare=loading) == (503, {"error": "loading the model"})
    assert answered("POST", "/v2/models/a/infer", prepare=loading) == (503, {"error": "loading the model"})
    status, (entry,) = answered("POST", "/v2/repository/index", prepare=loading)
    assert (status, entry["state"], entry["reason"]) == (200, "LOADING", "loading the model")


def test_a_draining_server_still_predicts_but_asks_for_no_more() -> None:
    assert answered("POST", "/invocations", {"inputs": [1]}, prepare=draining)[0] == 200
    assert answered("GET", "/ping", prepare=draining)[0] == 503
    assert answered("GET", "/v2/health/ready", prepare=draining)[0] == 503
    assert answered("GET", "/v2/health/live", prepare=draining)[0] == 200


def test_the_root_leads_to_the_page() -> None:
    for method in ("GET", "HEAD"):
        (response,) = answers((method, "/"))
        assert (response.status, response.headers["location"]) == (307, "/docs")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/invocations", 405, "POST"),
        ("POST", "/ping", 405, "GET, HEAD"),
        ("DELETE", "/metrics", 405, "GET, HEAD"),
        ("HEAD", "/ping", 200, None),
        ("HEAD", "/docs", 200, None),
        ("POST", "/", 405, "GET, HEAD"),
        ("GET", "/models", 404, None),
        ("GET", "/invocations/", 404, None),
    ],
)
def test_methods_and_paths_that_are_not_there_are_told_so(method: str, path: str, status: int, allow: str | None) -> None:
    (response,) = answers((method, path))
    assert (response.status, response.headers.get("allow")) == (status, allow)


def test_what_goes_wrong_is_answered_in_the_form_of_its_protocol() -> None:
    assert answered("POST", "/invocations", {"inputs": "raise"}) == (
        500,
        {"error_code": "INTERNAL_ERROR", "message": "ValueError: the model says no"},
    )
    assert answered("POST", "/invocations", b"{")[1]["error_code"] == "BAD_REQUEST"
    status, said = answered("POST", "/v2/models/a/infer", b"{")
    assert (status, list(said)) == (400, ["error"])


def test_a_queue_that_is_full_is_503_in_either_form() -> None:
    def full(catalog: Catalog) -> None:
        catalog.model = dispatcher(limit=0)

    busy, protocol = answers(("POST", "/invocations", {"inputs": [1]}), ("POST", "/v2/models/a/infer", {}), prepare=full)
    assert (busy.status, protocol.status) == (503, 503)
    assert busy.headers["retry-after"] == protocol.headers["retry-after"] == "1"
    assert list(json.loads(protocol.body)) == ["error"]


def test_a_model_with_a_name_answers_to_no_other() -> None:
    named = ServerSettings(model_name="churn", model_version="7")
    assert answered("GET", "/v2/models/churn", settings=named)[1]["versions"] == ["7"]
    assert answered("GET", "/v2/models/other", settings=named) == (404, {"error": "there is no model other here; there is churn"})
    assert answered("GET", "/v2/models/churn/versions/8", settings=named)[0] == 404
    assert answered("GET", "/v2/models/churn/versions/7", settings=named)[0] == 200
    assert answered("GET", "/v2/models", settings=named) == (200, {"models": ["churn"]})
    assert answered("GET", "/v2/models/anything")[1]["name"] == "anything"


def test_batch_transforms_are_told_limits_whose_product_sagemaker_takes() -> None:
    big = ServerSettings(max_request_bytes=60 * 1024 * 1024)
    assert answered("GET", "/execution-parameters", settings=big) == (
        200,
        {"MaxConcurrentTransforms": 1, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 60},
    )


# The model APIs of multi-model endpoints.


async def host(directory: Path) -> Dispatcher:
    if "broken" in directory.parts:
        raise LoadError("ModuleNotFoundError: No module named 'gone'")
    if "greedy" in directory.parts:
        raise LoadError("MemoryError: Unable to allocate 8.0 TiB")
    return dispatcher(parse_mlmodel(directory))


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """A model as SageMaker unpacks it, and the request that loads it."""

    def unpack(name: str) -> dict[str, str]:
        directory = tmp_path / name / "model"
        directory.mkdir(parents=True)
        (directory / "MLmodel").write_text("flavors: {python_function: {loader_module: a}}")
        return {"model_name": name, "url": str(directory)}

    return unpack


def several(check: Callable[[Ask], Awaitable[None]]) -> None:
    """Run a check against a server of several models that has none yet."""

    async def run() -> None:
        catalog = Catalog(ServerSettings(multi_model=True))
        await check(asking(Service(catalog, multi_model=MultiModel(catalog, host))))

    asyncio.run(run())


def test_models_are_loaded_asked_and_forgotten(unpacked: Callable[[str], dict[str, str]]) -> None:
    async def check(ask: Ask) -> None:
        assert (await ask("GET", "/ping")).status == 200
        wanted = unpacked("a")
        entry = {"modelName": "a", "modelUrl": wanted["url"]}
        loaded = await ask("POST", "/models", wanted)
        assert (loaded.status, json.loads(loaded.body)) == (200, entry)
        assert json.loads((await ask("GET", "/models")).body) == {"models": [entry]}
        assert json.loads((await ask("GET", "/models/a")).body) == entry
        invoked = await ask("POST", "/models/a/invoke", {"inputs": [1]}, x_amzn_sagemaker_target_model="a.tar.gz")
        assert (invoked.status, json.loads(invoked.body)) == (200, {"predictions": [1]})
        assert json.loads((await ask("GET", "/v2/models")).body) == {"models": ["a"]}
        assert (await ask("GET", "/v2/models/a")).status == 200
        assert (await ask("POST", "/models", wanted)).status == 409
        assert (await ask("DELETE", "/models/a")).status == 200
        for method, path in (("GET", "/models/a"), ("DELETE", "/models/a"), ("POST", "/models/a/invoke"), ("GET", "/v2/models/a")):
            assert (await ask(method, path)).status == 404, path
        assert (await ask("POST", "/models", wanted)).status == 200

    several(check)


def test_memory_that_is_short_is_507(unpacked: Callable[[str], dict[str, str]]) -> None:
    async def check(ask: Ask) -> None:
        huge = unpacked("huge")
        with (Path(huge["url"]) / "weights").open("wb") as file:
            file.truncate(1 << 43)  # a hole: it takes no space
        too_large = await ask("POST", "/models", huge)
        assert too_large.status == 507
        assert "its files take 8388608 MiB" in json.loads(too_large.body)["message"]
        assert (await ask("POST", "/models", unpacked("greedy"))).status == 507
        assert json.loads((await ask("GET", "/models")).body) == {"models": []}

    several(check)


def test_the_list_of_models_comes_in_pages(unpacked: Callable[[str], dict[str, str]]) -> None:
    async def check(ask: Ask) -> None:
        for name in "abc":
            assert (await ask("POST", "/models", unpacked(name))).status == 200
        first = json.loads((await ask("GET", "/models", query={"limit": "2"})).body)
        assert ([each["modelName"] for each in first["models"]], first["nextPageToken"]) == (["a", "b"], "2")
        rest = json.loads((await ask("GET", "/models", query={"limit": "2", "next_page_token": "2"})).body)
        assert ([each["modelName"] for each in rest["models"]], "nextPageToken" in rest) == (["c"], False)
        assert (await ask("GET", "/models", query={"limit": "-1"})).status == 400

    several(check)


def test_a_model_that_can_not_be_loaded_is_told_why(unpacked: Callable[[str], dict[str, str]], tmp_path: Path) -> None:
    async def check(ask: Ask) -> None:
        broken = await ask("POST", "/models", unpacked("broken"))
        assert (broken.status, "No module named 'gone'" in json.loads(broken.body)["message"]) == (500, True)
        nowhere = await ask("POST", "/models", {"model_name": "x", "url": str(tmp_path / "nowhere")})
        assert (nowhere.status, "no MLmodel file" in json.loads(nowhere.body)["message"]) == (400, True)
        assert (await ask("GET", "/models/broken")).status == 404

    several(check)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"model_name": "a"}', b'{"model_name": 7, "url": "x"}', b'{"model_name": "a/b", "url": "/x"}', b"[" * 100_000]
)
def test_a_wrong_request_for_a_model_is_400(body: bytes) -> None:
    async def check(ask: Ask) -> None:
        assert (await ask("POST", "/models", body)).status == 400

    several(check)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/models", 405),
        ("POST", "/models/a", 405),
        ("GET", "/models/a/invoke", 405),
        ("GET", "/models/a/other", 404),
        ("POST", "/invocations", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 200),
        ("GET", "/models/", 404),
    ],
)
def test_other_requests_of_a_server_of_several_models(method: str, path: str, status: int) -> None:
    async def check(ask: Ask) -> None:
        assert (await ask(method, path)).status == status

    several(check)
