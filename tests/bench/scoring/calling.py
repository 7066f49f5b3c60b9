"""Calls ModelInfer again and again, so many at a time, and prints how that went; the message comes on standard input.

Usage: calling.py PORT AT_A_TIME SECONDS
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import grpc
import grpc.aio

CHANNELS = 4


async def called(port: int, message: bytes, at_a_time: int, seconds: float) -> dict[str, float]:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) for _ in range(min(CHANNELS, at_a_time))]
    latencies: list[float] = []
    failed = 0
    until = time.perf_counter() + seconds

    async def again(infer: grpc.aio.UnaryUnaryMultiCallable) -> None:
        nonlocal failed
        while (begin := time.perf_counter()) < until:
            try:
                await infer(message)
            except grpc.RpcError:
                failed += 1
            latencies.append(time.perf_counter() - begin)

    infers = [channel.unary_unary("/inference.GRPCInferenceService/ModelInfer") for channel in channels]
    begin = time.perf_counter()
    await asyncio.gather(*(again(infers[number % len(infers)]) for number in range(at_a_time)))
    taken = time.perf_counter() - begin
    for channel in channels:
        await channel.close()
    ordered = sorted(latencies)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
    return {"rate": len(latencies) / taken, "p50": p50, "p99": p99, "failed": failed}


if __name__ == "__main__":
    port, at_a_time, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    print(json.dumps(asyncio.run(called(port, sys.stdin.buffer.read(), at_a_time, seconds))))
