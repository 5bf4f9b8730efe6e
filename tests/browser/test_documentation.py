"""The documentation's site, with no other host than the one that serves its files."""

import functools
import http.server
import threading

import pytest
from tests.support.doc_site import build


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    site = build(tmp_path_factory.mktemp("documentation"))
    handler = functools.partial(_Files, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(chromium, address):
    """A page that reaches this site only; the test fails if it asked another host, or failed."""
    context = chromium.new_context()
    elsewhere, faults = [], []

    def reach(route):
        if route.request.url.startswith(address):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    context.route("**/*", reach)
    page = context.new_page()
    page.on("console", lambda message: message.type == "error" and faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert (elsewhere, faults) == ([], [])


def test_the_search_finds_a_page_without_the_internet(page, address):
    page.goto(address)
    page.get_by_role("button", name="Search").first.click()
    page.get_by_role("combobox", name="Search").fill("virtual queue shortfall")
    page.get_by_role("option", name="MESS+").click()
    page.wait_for_url("**/routers/**#mess")


def test_the_button_of_a_console_copies_its_commands_only(page, address):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(address + "tutorial/")
    block = page.locator(".highlight").filter(has_text="make serve")
    block.get_by_role("button", name="Copy to clipboard").click()
    copied = "navigator.clipboard.readText()"
    page.wait_for_function(f"{copied}.then((text) => text.includes('make serve'))")
    clone = "git clone https://github.com/floorline/floorline"
    assert page.evaluate(copied) == f"{clone}\ncd floorline\nmake serve\n"


@pytest.mark.parametrize("name", ["", "tutorial/", "cli/", "comparison/", "routers/"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_the_width(page, address, name, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address + name)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
