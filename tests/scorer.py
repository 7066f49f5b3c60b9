"""A server that stands for a scoring container, and starts in a blink: it multiplies the column x by what factor.txt of the model says.

broken   in factor.txt: it fails as a model does whose package is missing
failing  in factor.txt: it answers each request with an error
It runs by itself, on the standard library alone: the local cloud starts it as the command of an image.
"""

import json
import os
import pathlib
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = pathlib.Path(os.environ["DEPLOYER_MODEL"])
# Azure ML mounts the uploaded folder one level below.
FACTOR = next(MODEL.rglob("factor.txt")).read_text().strip()


COUNTED, COUNTING = {}, threading.Lock()
"""Answers by status: no prediction takes longer than a millisecond."""


def metrics():
    """As a scoring server says it at /metrics."""
    with COUNTING:
        counted = dict(COUNTED)
    lines = [f'deployer_requests_total{{path="/invocations",status="{status}"}} {number}' for status, number in counted.items()]
    lines += [f'deployer_request_duration_seconds_bucket{{path="/invocations",le="0.001"}} {sum(counted.values())}']
    return "\n".join(lines).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        counted = self.path == "/metrics"
        self.answer(200, metrics() if counted else b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = json.loads(body)
        if "environment" in asked:
            return self.answer(200, json.dumps({"predictions": [os.environ.get(asked["environment"])]}).encode())
        if "stream" in asked:
            return self.stream(asked["stream"], asked.get("seconds", 0.01), breaks=asked.get("breaks", False))
        if FACTOR == "failing":
            return self.answer(500, b'{"error_code": "INTERNAL_ERROR", "message": "the model failed"}')
        split = asked["dataframe_split"]
        if "x" not in split["columns"]:
            return self.answer(400, b'{"error_code": "BAD_REQUEST", "message": "the column x is missing"}')
        column = split["columns"].index("x")
        print(f"scoring {len(split['data'])} rows", flush=True)
        return self.answer(200, json.dumps({"predictions": [row[column] * float(FACTOR) for row in split["data"]]}).encode())

    def answer(self, status, body):
        if self.command == "POST":
            with COUNTING:
                COUNTED[status] = COUNTED.get(status, 0) + 1
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, count, seconds, breaks):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(count):
            piece = f"piece {number}\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
            if breaks:
                self.close_connection = True
                return
            time.sleep(seconds)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # requests in flight are finished on SIGTERM


if __name__ == "__main__":
    print(f"loading {MODEL}", flush=True)
    if FACTOR == "broken":
        print("ModuleNotFoundError: No module named 'lightgbm'", flush=True)
        sys.exit(1)
    Handler.timeout = 30
    server = Server(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)
    os._exit(0)
