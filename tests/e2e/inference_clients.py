"""Run by an environment that has KServe's and Triton's clients: asks a server of the `doubler` and prints what they made of its answers.

Usage: inference_clients.py HOST:PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np


async def kserve(address: str) -> dict[str, Any]:
    from kserve import InferenceRESTClient, InferInput, InferRequest
    from kserve.inference_client import RESTConfig

    url, client = f"http://{address}", InferenceRESTClient(RESTConfig(protocol="v2", timeout=30))
    column = InferInput("x", [2], "FP64", [1.5, 2.5])
    binary = InferInput("x", [2, 1], "FP64")
    binary.set_data_from_numpy(np.array([[3.0], [4.0]]), binary_data=True)
    answered = await client.infer(url, InferRequest("doubler", [column], request_id="seven"), model_name="doubler")
    in_binary = await client.infer(url, InferRequest("doubler", [binary]), model_name="doubler")
    try:
        await client.infer(url, InferRequest("doubler", [InferInput("x", [1], "FP64", ["text"])]), model_name="doubler")
        said = ""
    except Exception as error:
        said = str(error)
    return {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model": await client.is_model_ready(url, "doubler"),
        "answered": [answered.id, answered.model_name, answered.outputs[0].name, answered.outputs[0].as_numpy().tolist()],
        "binary": in_binary.outputs[0].as_numpy().tolist(),
        "said": said,
    }


V1 = (
    {"instances": [[1.5], [2.5]]},
    {"instances": [[1], [2]]},
    {"inputs": [[1.5]]},
    {"instances": [{"x": [1.5]}]},
    {"instances": [{"x": [1.5, 3.5]}, {"x": [0.25]}]},
    {"instances": [[{"x": 1.5}, {"x": 3.5}]]},
)
"""Bodies of the first version, of the kinds that KServe's own servers take."""


async def first_version(address: str) -> dict[str, Any]:
    """What our server answers, and what KServe's sklearnserver makes of a body and of a model that doubles."""
    from kserve import InferenceRESTClient
    from kserve.inference_client import RESTConfig
    from kserve.utils.utils import get_predict_input, get_predict_response

    url, client = f"http://{address}", InferenceRESTClient(RESTConfig(protocol="v1", timeout=30))
    ours = [await client.infer(url, body, model_name="doubler") for body in V1]
    theirs = [get_predict_response(body, 2 * np.asarray(get_predict_input(body))[:, 0], "doubler") for body in V1]
    try:
        await client.infer(url, {"instances": [["text"]]}, model_name="doubler")
        said = ""
    except Exception as error:
        said = str(error)
    return {"ours": ours, "theirs": theirs, "ready": await client.is_model_ready(url, "doubler"), "said": said}


def triton(address: str) -> dict[str, Any]:
    from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
    from tritonclient.utils import InferenceServerException

    client = InferenceServerClient(address)
    metadata = client.get_model_metadata("doubler")
    described = metadata["inputs"][0]
    answers = []
    for binary_in, binary_out in ((True, True), (False, True), (True, False), (False, False)):
        values = InferInput(described["name"], [3], described["datatype"])
        values.set_data_from_numpy(np.array([1.0, 2.0, 3.0]), binary_data=binary_in)
        wanted = InferRequestedOutput(metadata["outputs"][0]["name"], binary_data=binary_out)
        found = client.infer("doubler", [values], outputs=[wanted], request_id="eight")
        answers.append([found.get_response()["id"], found.as_numpy("output-0").tolist()])
    every = client.infer("doubler", [values]).as_numpy("output-0").tolist()  # no outputs named: binary_data_output
    try:
        client.infer("another", [values])
        said = ""
    except InferenceServerException as error:
        said = f"{error.status()} {error.message()}"
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "models": [client.is_model_ready("doubler"), client.is_model_ready("doubler", "3"), client.is_model_ready("doubler", "4")],
        "server": client.get_server_metadata()["extensions"],
        "index": client.get_model_repository_index(),
        "answers": answers,
        "every": every,
        "said": said,
    }


if __name__ == "__main__":
    at = sys.argv[1]
    print(json.dumps({"kserve": asyncio.run(kserve(at)), "v1": asyncio.run(first_version(at)), "triton": triton(at)}))
