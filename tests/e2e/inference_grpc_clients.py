"""Run by an environment that has KServe's, Triton's and gRPC's own clients: asks a server of the `doubler` and prints what one made of its answers.

Usage: inference_grpc_clients.py HOST:PORT DIRECTORY_OF_DEPLOYER_SCORING kserve|triton|standard
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc
import numpy as np


async def kserve(address: str) -> dict[str, Any]:
    from kserve import InferenceGRPCClient, InferInput, InferRequest

    client = InferenceGRPCClient(address, timeout=30)
    column = InferInput("x", [2], "FP64", [1.5, 2.5])
    raw = InferInput("x", [2, 1], "FP64")
    raw.set_data_from_numpy(np.array([[3.0], [4.0]]), binary_data=True)
    typed = await client.infer(InferRequest("doubler", [column], request_id="seven"))
    in_bytes = await client.infer(InferRequest("doubler", [raw]))
    try:
        await client.infer(InferRequest("doubler", [InferInput("x", [1], "BYTES", ["text"])]))
        said = ""
    except grpc.RpcError as error:
        said = f"{error.code().name} {error.details()}"
    return {
        "live": await client.is_server_live(),
        "ready": await client.is_server_ready(),
        "model": await client.is_model_ready("doubler"),
        "typed": [typed.id, typed.model_name, typed.outputs[0].name, typed.outputs[0].as_numpy().tolist()],
        "raw": in_bytes.outputs[0].as_numpy().tolist(),
        "said": said,
    }


def triton(address: str) -> dict[str, Any]:
    from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
    from tritonclient.utils import InferenceServerException

    client = InferenceServerClient(address)
    metadata = client.get_model_metadata("doubler", as_json=True)
    values = InferInput("x", [3], "FP64")
    values.set_data_from_numpy(np.array([1.0, 2.0, 3.0]))
    found = client.infer("doubler", [values], outputs=[InferRequestedOutput("output-0")], request_id="eight")
    try:
        client.infer("another", [values])
        said = ""
    except InferenceServerException as error:
        said = f"{error.status()} {error.message()}"
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "models": [client.is_model_ready("doubler"), client.is_model_ready("doubler", "3")],
        "server": client.get_server_metadata(as_json=True)["extensions"],
        "metadata": [metadata["versions"], metadata["platform"], metadata["inputs"], metadata["outputs"]],
        "answer": [found.get_response(as_json=True)["id"], found.as_numpy("output-0").tolist()],
        "said": said,
    }


def standard(address: str) -> dict[str, Any]:
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        states = [health.Check(health_pb2.HealthCheckRequest(service=name)).status for name in ("", "inference.GRPCInferenceService")]
        try:
            health.Check(health_pb2.HealthCheckRequest(service="another"))
        except grpc.RpcError as error:
            unknown = error.code().name
        watched = next(health.Watch(health_pb2.HealthCheckRequest(service="another"))).status
        database = ProtoReflectionDescriptorDatabase(channel)
        service = DescriptorPool(database).FindServiceByName("inference.GRPCInferenceService")
        described = {method.name: [method.input_type.full_name, method.output_type.full_name] for method in service.methods}
        services = sorted(database.get_services())
        try:
            database.FindFileContainingSymbol("no.such.Thing")
        except KeyError as error:
            absent = str(error)
    return {"states": states, "unknown": unknown, "watched": watched, "services": services, "described": described, "absent": absent}


def same_messages() -> bool:
    """Whether the messages that KServe publishes are ours, field by field; ours may have more (Triton's parameters), and theirs other methods."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as theirs

    sys.path.insert(0, sys.argv[2])
    from deployer_scoring.wire.inference_messages import MESSAGES

    ours, known = (_fields(FileDescriptorProto.FromString(each)) for each in (MESSAGES.serialized, theirs.DESCRIPTOR.serialized_pb))
    return {name: fields for name, fields in known.items() if not name.startswith("Repository")}.items() <= {
        name: [field for field in fields if field in known.get(name, ())] for name, fields in ours.items()
    }.items()


def _fields(file: Any) -> dict[str, list[bytes]]:
    within = [(message.name, message) for message in file.message_type]
    nested = [(f"{name}.{each.name}", each) for name, message in within for each in message.nested_type]
    return {name: [field.SerializeToString() for field in message.field] for name, message in (*within, *nested)}


if __name__ == "__main__":
    # One a process: KServe's and Triton's descriptions of the same messages don't go into one.
    clients = {"kserve": lambda at: {**asyncio.run(kserve(at)), "same": same_messages()}, "triton": triton, "standard": standard}
    print(json.dumps(clients[sys.argv[3]](sys.argv[1])))
