"""gRPC's reflection, by which grpcurl and the like ask what a server speaks. Rules: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md

Its two versions have the same messages; many clients still ask for the first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from deployer_scoring.wire.protobuf import ProtoFile

SERVICE = "ServerReflection"
_ASKED = "oneof message_request"
_ANSWERED = "oneof message_response"
_DESCRIBED = {
    "ServerReflectionRequest": f"string host = 1; {_ASKED} string file_by_filename = 3; {_ASKED} string file_containing_symbol = 4;"
    f"{_ASKED} ExtensionRequest file_containing_extension = 5; {_ASKED} string all_extension_numbers_of_type = 6; {_ASKED} string list_services = 7",
    "ExtensionRequest": "string containing_type = 1; int32 extension_number = 2",
    "ServerReflectionResponse": "string valid_host = 1; ServerReflectionRequest original_request = 2;"
    f"{_ANSWERED} FileDescriptorResponse file_descriptor_response = 4; {_ANSWERED} ExtensionNumberResponse all_extension_numbers_response = 5;"
    f"{_ANSWERED} ListServiceResponse list_services_response = 6; {_ANSWERED} ErrorResponse error_response = 7",
    "FileDescriptorResponse": "repeated bytes file_descriptor_proto = 1",
    "ExtensionNumberResponse": "string base_type_name = 1; repeated int32 extension_number = 2",
    "ListServiceResponse": "repeated ServiceResponse service = 1",
    "ServiceResponse": "string name = 1",
    "ErrorResponse": "int32 error_code = 1; string error_message = 2",
}
VERSIONS = tuple(
    ProtoFile(
        f"grpc/reflection/{version}/reflection.proto",
        f"grpc.reflection.{version}",
        _DESCRIBED,
        {SERVICE: {"ServerReflectionInfo": "stream ServerReflectionRequest stream ServerReflectionResponse"}},
    )
    for version in ("v1", "v1alpha")
)


class Reflection:
    """The files of the services that a server has."""

    def __init__(self, messages: ProtoFile, files: Sequence[ProtoFile], services: Sequence[str]) -> None:
        """Make it.

        Args:
            messages: One of VERSIONS.
            files: What there is to describe.
            services: The full names of all services.
        """
        self._messages, self._services = messages, services
        self._by_path = {each.path: each for each in files}
        self._by_symbol = {name: each for each in files for name in each.names}
        self._response = messages["ServerReflectionResponse"]

    def handlers(self) -> dict[str, Any]:
        request = self._messages["ServerReflectionRequest"]
        handler = grpc.stream_stream_rpc_method_handler(
            self._info, request_deserializer=request.FromString, response_serializer=self._response.SerializeToString
        )
        return {"ServerReflectionInfo": handler}

    async def _info(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield self._response(valid_host=request.host, original_request=request, **self._answer(request))

    def _answer(self, request: Any) -> dict[str, Any]:
        asked = request.WhichOneof("message_request")
        if asked == "list_services":
            return {"list_services_response": {"service": [{"name": name} for name in self._services]}}
        if asked == "file_by_filename":
            return self._file(self._by_path.get(request.file_by_filename), f"there is no file {request.file_by_filename}")
        if asked == "file_containing_symbol":
            symbol = request.file_containing_symbol
            known = self._by_symbol.get(symbol) or self._by_symbol.get(symbol.rpartition(".")[0])  # a method's or field's own name
            return self._file(known, f"there is no {symbol}")
        return self._file(None, "the messages here have no extensions")

    def _file(self, file: Any, otherwise: str) -> dict[str, Any]:
        if file is None:
            return {"error_response": {"error_code": grpc.StatusCode.NOT_FOUND.value[0], "error_message": otherwise}}
        return {"file_descriptor_response": {"file_descriptor_proto": [file.serialized]}}
