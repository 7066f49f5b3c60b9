"""The container's server. Its rooms, each of which knows only those below it:

    processes        the life of the server and its workers: serving.py begins, worker.py puts the rest together
    rpc              gRPC, where it is asked for: calls counted and bounded as requests are, answered by what answers these
    protocols        what paths mean: service.py takes every request, catalog.py has the models
    http | predict   bytes to requests, responses to bytes | a request to the model's answer
    telemetry        the access log, metrics, traces
    system           child processes, CPUs, memory
    handling.py      coroutines run by hand, so that an answer that is there at once costs no task
    settings.py      how to serve, as the environment says; api_keys.py: who is answered, where there are keys

The way of a request: http/connection.py, protocols/service.py, invocations.py, predict/dispatch.py, in_loop.py, scorer.py (wire/decoding.py,
the loader's object, wire/encoding.py), and back to the connection.
"""
