"""The messages of the Open Inference Protocol's gRPC service, inference.GRPCInferenceService.

Rules: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
"""

from __future__ import annotations

from deployer_scoring.wire.protobuf import ProtoFile

SERVICE = "GRPCInferenceService"
_METHODS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
_MODEL = "string name = 1; string version = 2"
_KIND = "string name = 1; string datatype = 2; repeated int64 shape = 3"
_TENSOR = f"{_KIND}; map InferParameter parameters = 4; InferTensorContents contents = 5"
_INFER = "string model_name = 1; string model_version = 2; string id = 3; map InferParameter parameters = 4"

MESSAGES = ProtoFile(
    "grpc_predict_v2.proto",
    "inference",
    {
        "ServerLiveRequest": "",
        "ServerLiveResponse": "bool live = 1",
        "ServerReadyRequest": "",
        "ServerReadyResponse": "bool ready = 1",
        "ModelReadyRequest": _MODEL,
        "ModelReadyResponse": "bool ready = 1",
        "ServerMetadataRequest": "",
        "ServerMetadataResponse": "string name = 1; string version = 2; repeated string extensions = 3",
        "ModelMetadataRequest": _MODEL,
        "ModelMetadataResponse": "string name = 1; repeated string versions = 2; string platform = 3;"
        "repeated ModelMetadataResponse.TensorMetadata inputs = 4; repeated ModelMetadataResponse.TensorMetadata outputs = 5",
        "ModelMetadataResponse.TensorMetadata": _KIND,
        "ModelInferRequest": f"{_INFER}; repeated ModelInferRequest.InferInputTensor inputs = 5;"
        "repeated ModelInferRequest.InferRequestedOutputTensor outputs = 6; repeated bytes raw_input_contents = 7",
        "ModelInferRequest.InferInputTensor": _TENSOR,
        "ModelInferRequest.InferRequestedOutputTensor": "string name = 1; map InferParameter parameters = 2",
        "ModelInferResponse": f"{_INFER}; repeated ModelInferResponse.InferOutputTensor outputs = 5; repeated bytes raw_output_contents = 6",
        "ModelInferResponse.InferOutputTensor": _TENSOR,
        "InferParameter": "oneof parameter_choice bool bool_param = 1; oneof parameter_choice int64 int64_param = 2;"
        "oneof parameter_choice string string_param = 3; oneof parameter_choice double double_param = 4;"
        "oneof parameter_choice uint64 uint64_param = 5",
        "InferTensorContents": "repeated bool bool_contents = 1; repeated int32 int_contents = 2; repeated int64 int64_contents = 3;"
        "repeated uint32 uint_contents = 4; repeated uint64 uint64_contents = 5; repeated float fp32_contents = 6;"
        "repeated double fp64_contents = 7; repeated bytes bytes_contents = 8",
    },
    {SERVICE: {method: f"{method}Request {method}Response" for method in _METHODS}},
)
InferRequest, InferResponse = MESSAGES["ModelInferRequest"], MESSAGES["ModelInferResponse"]
