"""A server on the loopback interface whose answers a test writes, byte for byte."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ScriptedServer:
    """Answers each request with what a function makes of it.

    Parameters
    ----------
    answer
        Takes the path and the decoded body of a request; returns the status, the content type and
        the pieces of the body, each of which is sent at once.

    Attributes
    ----------
    requests
        Paths, headers (names in lower case) and bodies that arrived.
    bodies
        The same bodies as bytes.
    """

    def __init__(self, answer):
        self.requests = []
        self.bodies = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                data = self.rfile.read(int(self.headers["content-length"]))
                body = json.loads(data)
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.bodies.append(data)
                outer.requests.append((self.path, headers, body))
                status, kind, pieces = answer(self.path, body)
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    for piece in pieces:
                        if piece:
                            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                            self.wfile.flush()
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


EVENTS = "text/event-stream"
JSON = "application/json"
