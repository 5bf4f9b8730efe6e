"""The check of links to other hosts, against a host on this machine."""

import http.server
import runpy
import threading
from pathlib import Path

import pytest

LINKS = runpy.run_path(str(Path(__file__).parents[2] / ".ci" / "links"))


class _Host(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path.removeprefix("/")))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def host():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Host)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "fault"), [(200, ""), (404, "status 404"), (500, "status 500"), (403, ""), (429, "")]
)
def test_what_a_host_answers(host, status, fault):
    assert LINKS["fault"](f"{host}/{status}") == fault


def test_a_host_that_is_not_there():
    assert LINKS["fault"]("http://127.0.0.1:1/") != ""


def test_links_are_those_outside_of_code_and_of_this_machine(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("[a](https://a.example/x) [here](http://127.0.0.1:8080)\n")
    page = "[a](https://a.example/x)\n\n```text\n[b](https://b.example)\n```\n[c](c.md)\n"
    (tmp_path / "docs" / "page.md").write_text(page)
    assert LINKS["links"](tmp_path) == {"https://a.example/x": ["README.md", "docs/page.md"]}


def test_the_pages_have_such_links():
    assert len(LINKS["links"]()) > 5
