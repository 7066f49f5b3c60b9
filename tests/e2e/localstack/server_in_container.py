"""A server that stands for a scoring container: it answers by what it finds in the model directory.

answer.txt   the text that /invocations answers, with the request's body after it
mode.txt     crash (exit at once), unwell (/ping says 503), slow (a second until it listens), faulty (/invocations says 500), or nothing
"""

import json
import os
import pathlib
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = pathlib.Path(os.environ.get("AZUREML_MODEL_DIR") or os.environ["DEPLOYER_MODEL"])
# Azure ML adds the uploaded folder's name as a level.
MODEL = next((file.parent for file in MODEL.rglob("answer.txt")), MODEL)


def read(name):
    path = MODEL / name
    return path.read_text().strip() if path.exists() else ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def do_GET(self):
        self.answer(503 if read("mode.txt") == "unwell" else 200, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        text = body.decode(errors="replace")
        if text.startswith("sleep "):
            time.sleep(float(text.removeprefix("sleep ")))
        if text == "headers":
            return self.answer(200, json.dumps({name.lower(): value for name, value in self.headers.items()}).encode())
        if text == "environment":
            return self.answer(200, json.dumps(dict(os.environ)).encode())
        if read("mode.txt") == "faulty":
            return self.answer(500, b'{"error_code": "INTERNAL_ERROR", "message": "out of luck"}')
        if text == "bad":
            return self.answer(400, b'{"error_code": "BAD_REQUEST", "message": "column x is missing"}')
        if text == "die":
            print("dying", flush=True)
            os._exit(3)
        if text.startswith("stream "):
            return self.stream(int(text.removeprefix("stream ")))
        print(f"answering {text[:40]}", flush=True)
        return self.answer(200, f"{read('answer.txt')}:{text}".encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if attributes := self.headers.get("X-Amzn-SageMaker-Custom-Attributes"):
            self.send_header("X-Amzn-SageMaker-Custom-Attributes", attributes)
        self.end_headers()
        self.wfile.write(body)

    def stream(self, count):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(count):
            piece = f"piece {number}\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
            time.sleep(0.02)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # requests in flight are finished on SIGTERM


if __name__ == "__main__":
    import signal
    import threading

    print(f"loading {MODEL}", flush=True)
    if read("mode.txt") == "crash":
        print("ModuleNotFoundError: No module named 'lightgbm'", flush=True)
        sys.exit(1)
    if read("mode.txt") == "slow":
        time.sleep(1)
    Handler.timeout = 30
    server = Server(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)
    os._exit(0)
