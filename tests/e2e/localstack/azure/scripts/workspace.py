"""The workspace that the variables name, as Azure ML's SDK sees it, and what it says while a script goes on."""

import contextlib
import os
import sys

from azure.ai.ml import MLClient
from azure.ai.ml.entities import Environment
from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential

place = [os.environ[f"AZUREML_ARM_{part}"] for part in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")]
client = MLClient(DefaultAzureCredential(), *place)
said = {}


def refused(what, call):
    try:
        with contextlib.redirect_stdout(sys.stderr):
            call()
    except HttpResponseError as refusal:
        said[what] = [refusal.status_code, refusal.error.code if refusal.error else ""]


def done(poller):
    with contextlib.redirect_stdout(sys.stderr):  # the SDK prints dots
        return poller.result()


def environment(name, image):
    routes = {f"{each}_route": {"port": 8080, "path": "/ping"} for each in ("liveness", "readiness")}
    config = {**routes, "scoring_route": {"port": 8080, "path": "/invocations"}}
    client.environments.create_or_update(Environment(name=name, version="1", image=image, inference_config=config))
