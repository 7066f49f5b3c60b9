"""What the server speaks beside /invocations, over a socket: the Open Inference Protocol with its real clients, metrics, logs, traces."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.scoring_process import Served, serving
from tests.environments import environment, inference_clients_python, mlflow_python
from tests.models import saved_model

TRACED = ("numpy", "pandas", "pyyaml", "httptools", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = TRACEPARENT[3:35]


@pytest.fixture(scope="module")
def doubler() -> Iterator[Served]:
    variables = {"DEPLOYER_MODEL_NAME": "doubler", "DEPLOYER_MODEL_VERSION": "3", "DEPLOYER_LOG_FORMAT": "json", "DEPLOYER_WORKERS": "2"}
    with serving(saved_model("doubler"), **variables) as served:
        yield served


def infer(served: Served, *inputs: dict[str, Any], name: str = "doubler", **request: Any) -> Any:
    return served.client.post(f"/v2/models/{name}/infer", json={"inputs": inputs, **request})


def numbers(*values: float, name: str = "x") -> dict[str, Any]:
    return {"name": name, "datatype": "FP64", "shape": [len(values)], "data": values}


def metric(served: Served, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(served.client.get("/metrics").text)
    found = [each.value for family in families for each in family.samples if each.name == name and labels.items() <= each.labels.items()]
    return sum(found)


@pytest.fixture(scope="module")
def clients(doubler: Served) -> dict[str, Any]:
    script = Path(__file__).with_name("inference_clients.py")
    address = doubler.url.removeprefix("http://")
    done = subprocess.run([str(inference_clients_python()), str(script), address], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_kserve_s_client_is_served(clients: dict[str, Any]) -> None:
    found = clients["kserve"]
    assert found.pop("said").startswith("the data of the input 'x' can't be read as FP64: 'text' is no number, '400 Bad Request'")
    assert found == {"live": True, "ready": True, "model": True, "answered": ["seven", "doubler", "output-0", [3.0, 5.0]], "binary": [6.0, 8.0]}


def test_the_first_version_has_what_kserve_s_own_server_answers(clients: dict[str, Any]) -> None:
    found = clients["v1"]
    assert found["ready"] is True
    assert len(found["ours"]) == 6
    assert found["ours"] == found["theirs"]
    assert "'text' is no number" in found["said"]


def test_the_paths_of_the_first_version(doubler: Served) -> None:
    def asked(method: str, path: str, **request: Any) -> tuple[int, Any]:
        answer = doubler.client.request(method, path, **request)
        return answer.status_code, answer.json()

    body = {"json": {"instances": [[1.5]]}}
    assert asked("GET", "/v1/models") == (200, {"models": ["doubler"]})
    assert asked("GET", "/v1/models/doubler") == (200, {"name": "doubler", "ready": True})
    assert asked("POST", "/v1/models/doubler:predict", **body) == (200, {"predictions": [3.0]})
    assert asked("POST", "/v1/models/other:predict", **body) == (404, {"error": "there is no model other here; there is doubler"})
    assert asked("GET", "/v1/models/other")[0] == 404
    for path in ("/v1/models/doubler:explain", "/v1/models/", "/v1/models/doubler/predict", "/v1", "/v1/models/:predict"):
        assert asked("POST", path, **body)[0] == 404, path
    assert asked("GET", "/v1/models/doubler:predict") == (405, {"error": "this path answers to POST"})
    assert asked("POST", "/v1/models/doubler:predict", content=b"{")[0] == 400
    assert metric(doubler, "deployer_requests_total", path="/v1/models/{name}:predict", status="200") >= 1


def test_triton_s_client_is_served_json_and_binary(clients: dict[str, Any]) -> None:
    found = clients["triton"]
    assert found["answers"] == [["eight", [2.0, 4.0, 6.0]]] * 4
    assert found["every"] == [2.0, 4.0, 6.0]
    assert found["models"] == [True, True, False]
    assert found["server"] == ["binary_tensor_data", "model_repository"]
    assert found["index"] == [{"name": "doubler", "version": "3", "state": "READY", "reason": ""}]
    assert found["said"] == "404 there is no model another here; there is doubler"


def test_a_model_s_metadata_is_its_signature(doubler: Served) -> None:
    for path in ("/v2/models/doubler", "/v2/models/doubler/versions/3"):
        assert doubler.client.get(path).json() == {
            "name": "doubler",
            "versions": ["3"],
            "platform": "mlflow_doubler_loader",
            "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}],
            "outputs": [{"name": "output-0", "datatype": "FP64", "shape": [-1]}],
        }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/another", 404),
        ("/v2/models/doubler/versions/4", 404),
        ("/v2/models/doubler/versions/4/ready", 404),
        ("/v2/models/doubler/explain", 404),
        ("/v2/nothing", 404),
        ("/v2/models/doubler/infer", 405),
        ("/v2/repository/index", 405),
    ],
)
def test_what_is_not_there_is_an_error_of_the_protocol(doubler: Served, path: str, status: int) -> None:
    response = doubler.client.get(path)
    assert (response.status_code, list(response.json())) == (status, ["error"])


def test_wrong_tensors_are_an_error_of_the_protocol(doubler: Served) -> None:
    assert "'x'" in infer(doubler, numbers(1, name="y"), numbers(1, name="z")).json()["error"]
    for response in (
        infer(doubler),
        infer(doubler, numbers(1), outputs=[{"name": "other"}]),
        doubler.client.post("/v2/models/doubler/infer", content=b"{"),
    ):
        assert (response.status_code, list(response.json())) == (400, ["error"]), response.text


def test_requests_of_the_protocol_are_predicted_as_others_are(doubler: Served) -> None:
    answer = infer(doubler, numbers(1, 2.5), id="nine").json()
    output = {"name": "output-0", "datatype": "FP64", "shape": [2], "data": [2.0, 5.0]}
    assert answer == {"model_name": "doubler", "model_version": "3", "id": "nine", "outputs": [output]}


def test_every_type_and_parameter_reaches_the_model_over_the_protocol() -> None:
    def tensor(name: str, datatype: str, value: Any) -> dict[str, Any]:
        return {"name": name, "datatype": datatype, "shape": [1], "data": [value]}

    with serving(saved_model("optional"), python=mlflow_python()) as served:
        columns = {each["name"]: each["datatype"] for each in served.client.get("/v2/models/any").json()["inputs"]}
        values = {"amount": 1.5, "count": 2, "name": "ÿ", "active": True, "since": "2024-02-29T12:00:00", "small": 3, "single": 0.5, "note": "x"}
        tensors = [tensor(name, columns[name], value) for name, value in values.items()]
        sent = infer(served, *tensors, name="any", parameters={"top": 9, "labels": ["c"]})
        frame = {"columns": list(values), "data": [list(values.values())]}
        same = served.ask({"dataframe_split": frame, "params": {"top": 9, "labels": ["c"]}}).json()["predictions"]
        outputs = {each["name"]: each["data"] for each in sent.json()["outputs"]}
        assert [json.loads(each) for each in outputs["params"]] == [same["params"]]
        assert [json.loads(each) for each in outputs["columns"]] == [same["columns"]]


def test_the_metrics_of_all_workers_are_read_from_any_of_them(doubler: Served) -> None:
    before = metric(doubler, "deployer_requests_total", path="/invocations", status="200")
    for _ in range(20):
        # A connection each: the kernel gives them to either worker.
        doubler.client.post("/invocations", json={"inputs": [1]}, headers={"connection": "close"})
    deadline = time.monotonic() + 5  # a worker counts a request once its answer is on the way
    while metric(doubler, "deployer_requests_total", path="/invocations", status="200") < before + 20:
        assert time.monotonic() < deadline
    assert metric(doubler, "deployer_requests_total", path="/invocations", status="200") == before + 20
    assert metric(doubler, "deployer_requests_total", path="/invocations", status="404") == 0
    assert metric(doubler, "deployer_predict_duration_seconds_count") >= 20
    assert metric(doubler, "deployer_batch_requests_sum") >= 20
    assert metric(doubler, "deployer_model_load_seconds") > 0
    assert metric(doubler, "deployer_workers") == 2
    assert metric(doubler, "deployer_requests_in_flight") == 1  # the one that asks
    assert abs(time.time() - metric(doubler, "process_start_time_seconds")) < 600
    doubler.client.post("/invocations", content=b"{", headers={"content-type": "application/json"})
    assert metric(doubler, "deployer_requests_total", path="/invocations", status="400") == 1


def test_a_line_of_the_log_is_an_object_and_the_server_s_own_messages_are_too(doubler: Served) -> None:
    doubler.ask({"inputs": [1]}, **{"X-Request-Id": "log-1"})
    (line,) = doubler.said('"log-1"')
    entry = json.loads(line)
    assert (entry["method"], entry["path"], entry["status"], entry["bytes_in"], entry["bytes_out"]) == ("POST", "/invocations", 200, 14, 21)
    assert "trace_id" not in entry
    assert json.loads(doubler.errors[0])["message"].startswith("listening on")


def test_a_caller_s_trace_goes_on_in_the_answer_and_in_the_log(doubler: Served) -> None:
    response = doubler.ask({"inputs": [1]}, traceparent=TRACEPARENT, **{"X-Request-Id": "trace-1"})
    version, trace, span, flags = response.headers["traceresponse"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != TRACEPARENT[36:52]
    (line,) = doubler.said('"trace-1"')
    assert (json.loads(line)["trace_id"], json.loads(line)["span_id"]) == (TRACE, span)
    assert "traceresponse" not in doubler.ask({"inputs": [1]}, traceparent="nonsense").headers
    assert "traceresponse" not in doubler.ask({"inputs": [1]}).headers


def load(served: Served, name: str, model: str | None = None) -> httpx.Response:
    return served.client.post("/models", json={"model_name": name, "url": str(saved_model(model or name))})


def test_a_multi_model_endpoint_loads_asks_and_forgets_models_while_it_serves() -> None:
    with serving(None, SAGEMAKER_MULTI_MODEL="true") as served, ThreadPoolExecutor(2) as threads:
        assert served.client.get("/models").json() == {"models": []}
        assert load(served, "doubler").status_code == 200
        assert load(served, "tripler").json() == {"modelName": "tripler", "modelUrl": str(saved_model("tripler"))}
        assert load(served, "doubler").status_code == 409

        slow = threads.submit(load, served, "slow")  # takes 2 s, in which the others answer
        began = time.monotonic()
        for name, factor in (("doubler", 2), ("tripler", 3)):
            answer = served.client.post(
                f"/models/{name}/invoke", json={"inputs": [1, 2]}, headers={"X-Amzn-SageMaker-Target-Model": f"{name}.tar.gz"}
            )
            assert answer.json() == {"predictions": [factor * 1.0, factor * 2.0]}
            assert infer(served, numbers(1), name=name).json()["outputs"][0]["data"] == [factor * 1.0]
        assert time.monotonic() - began < 1.5
        assert slow.result().status_code == 200

        broken = load(served, "broken")
        assert (broken.status_code, "No module named 'a_module_that_is_not_there'" in broken.json()["message"]) == (500, True)
        assert [each["modelName"] for each in served.client.get("/models").json()["models"]] == ["doubler", "tripler", "slow"]

        asked = threads.submit(served.client.post, "/models/slow/invoke", json={"inputs": [1.0]})
        time.sleep(0.3)
        assert served.client.delete("/models/slow").status_code == 200
        assert asked.result().json() == {"predictions": [2.0]}  # what was asked before is answered yet
        assert served.client.post("/models/slow/invoke", json={"inputs": [1]}).status_code == 404
        assert served.client.get("/ping").status_code == 200
        assert load(served, "slow", "doubler").status_code == 200  # the name is free again
        assert served.client.post("/models/slow/invoke", json={"inputs": [1]}).json() == {"predictions": [2.0]}


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes spans as an OTLP collector does, and keeps the bytes."""

    received: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        self.received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    received: list[tuple[str, bytes]] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Collector,), {"received": received})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def test_spans_are_exported_where_the_model_s_environment_has_opentelemetry(collector: tuple[str, list[tuple[str, bytes]]]) -> None:
    endpoint, received = collector
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_SERVICE_NAME": "churn"}
    with serving(saved_model("doubler"), python=environment(TRACED), **variables) as served:
        answered = served.ask({"inputs": [1]}, traceparent=TRACEPARENT)
        served.client.get("/ping", headers={"traceparent": TRACEPARENT.replace("0af7", "ffff")})
        fresh = served.ask({"inputs": [1]}).headers["traceresponse"]
        spans = [bytes.fromhex(header.split("-")[2]) for header in (answered.headers["traceresponse"], fresh)]
        until = time.monotonic() + 10
        while not all(any(span in body for _, body in received) for span in spans) and time.monotonic() < until:
            time.sleep(0.05)
    sent = b"".join(body for _, body in received)
    assert {path for path, _ in received} == {"/v1/traces"}
    for part in (bytes.fromhex(TRACE), bytes.fromhex(TRACEPARENT[36:52]), *spans, b"churn", b"POST /invocations", b"http.response.status_code"):
        assert part in sent
    assert b"/ping" not in sent
    assert fresh[3:35] != TRACE
