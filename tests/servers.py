"""A web server that answers well, and in the ways in which servers fail."""

import contextlib
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from archives import make_tar

NAME = "UCSD_Anomaly_Dataset.tar.gz"
FILES = {
    "tiny.v1/Ped2/Train/001.tif": os.urandom(200_000),  # does not compress
    "tiny.v1/Ped2/Test/001.tif": b"frame",
    "tiny.v1/README.txt": b"",
}
PAYLOAD = make_tar(*FILES.items())
HALF = len(PAYLOAD) // 2


class Host:
    """A web server of 127.0.0.1; each request is answered by the next of `answers`, and the last of
    them stays.
    """

    def __init__(self):
        self.answers, self.asked = [well], []
        self.released = threading.Event()
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                host.asked.append((self.path, self.headers.get("Range")))
                answer = host.answers.pop(0) if len(host.answers) > 1 else host.answers[0]
                self.close_connection = True
                with contextlib.suppress(ConnectionError):  # the client may hang up first
                    answer(self, host)

            def begin(self, status, length=None, **headers):
                self.send_response(status)
                for name, value in {"Content-Length": length, **headers}.items():
                    if value is not None:
                        self.send_header(name.replace("_", "-"), str(value))
                self.send_header("Connection", "close")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


def well(request, host):
    start = int(re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "bytes=0-"))[1])
    if start >= len(PAYLOAD):
        return request.begin(416, 0)
    span = f"bytes {start}-{len(PAYLOAD) - 1}/{len(PAYLOAD)}"
    request.begin(206 if start else 200, len(PAYLOAD) - start, Content_Range=span)
    return request.wfile.write(PAYLOAD[start:])


def drops(request, host):
    request.begin(200, len(PAYLOAD))
    request.wfile.write(PAYLOAD[:HALF])


def stalls(request, host):
    drops(request, host)
    host.released.wait(20)


def sends(content, **headers):
    def answer(request, host):
        request.begin(200, **{"length": len(content), **headers})
        request.wfile.write(content)

    return answer


def status(code, **headers):
    return lambda request, host: request.begin(code, 0, **headers)
