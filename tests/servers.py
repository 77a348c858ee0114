"""A web server that answers well, and in the ways in which servers fail."""

import contextlib
import os
import re
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from archives import make_tar

NAME = "UCSD_Anomaly_Dataset.tar.gz"
NOISE = os.urandom(200_000)  # does not compress: half of the archive is half of the file
FILES = {
    "tiny.v1/Ped2/Train/001.tif": NOISE,
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
    if start == 0:
        without_ranges(request, host)
    elif start >= len(PAYLOAD):
        request.begin(416, 0)
    else:
        span = f"bytes {start}-{len(PAYLOAD) - 1}/{len(PAYLOAD)}"
        request.begin(206, len(PAYLOAD) - start, Content_Range=span)
        request.wfile.write(PAYLOAD[start:])


def drops(request, host):
    request.begin(200, len(PAYLOAD))
    request.wfile.write(PAYLOAD[:HALF])


def resets(request, host):
    drops(request, host)
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def stalls(request, host):
    drops(request, host)
    host.released.wait(20)


def sends(content, **headers):
    def answer(request, host):
        request.begin(200, **{"length": len(content), **headers})
        request.wfile.write(content)

    return answer


without_ranges = sends(PAYLOAD)


def status(code, **headers):
    return lambda request, host: request.begin(code, 0, **headers)


def is_no_web_server(request, host):
    request.wfile.write(b"220 ready\r\n")


def chunked(request, host):
    request.begin(200, Transfer_Encoding="chunked")
    request.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAYLOAD), PAYLOAD))


def other_range(request, host):
    """Says 206 and starts from the beginning."""
    request.begin(206 if "Range" in request.headers else 200, len(PAYLOAD))
    request.wfile.write(PAYLOAD)


FLIPPED = PAYLOAD[:HALF] + bytes([PAYLOAD[HALF] ^ 1]) + PAYLOAD[HALF + 1 :]
PAGE = b"<!DOCTYPE html><html>Moved</html>"
# Name -> the answer, and what the message holds of it: a number, or the words of another program.
FAILURES = {
    "drops": (drops, str(HALF)),
    "drops without a length": (sends(PAYLOAD[:HALF], length=None), "SHA256"),
    "resets": (resets, ""),
    "stalls": (stalls, "0.5"),
    "one bit flipped": (sends(FLIPPED), "SHA256"),
    "nothing": (sends(b""), "SHA256"),
    "404": (status(404), "404"),
    "500": (status(500), "500"),
    "redirect to nowhere": (status(301, Location="http://127.0.0.1:1/x"), "refused"),
    "web page": (sends(PAGE, Content_Type="text/html; charset=utf-8"), ""),
    "no web server": (is_no_web_server, "220 ready"),
}
