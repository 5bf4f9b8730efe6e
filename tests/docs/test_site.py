"""The site is whole: links lead somewhere, and nothing is loaded from another host."""

import re
from urllib.parse import urlsplit

import pytest
from tests.support.doc_site import Page, build, target


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = build(tmp_path_factory.mktemp("documentation"))
    return {path: Page(path) for path in folder.rglob("*.html")}


def test_every_page_is_built(site):
    names = {path.parent.name for path in site}
    assert {"tutorial", "cli", "http-api", "python-api", "metrics", "comparison"} <= names


def test_links_lead_to_pages_and_headings(site):
    lost = []
    checked = 0
    for path, page in site.items():
        if path.name == "404.html":
            # Its links are absolute, for a site at the root of a host.
            continue
        for address in page.links:
            found = target(path, address)
            if found is None:
                continue
            file, heading = found
            checked += 1
            known = site.get(file)
            if not file.exists() or (heading and known is not None and heading not in known.ids):
                lost.append(f"{path.parent.name}: {address}")
    assert lost == []
    assert checked > 1000


def test_pages_load_nothing_from_another_host(site):
    loaded = [address for page in site.values() for address in page.loads]
    assert len(loaded) > 100
    assert [address for address in loaded if "//" in address] == []


def test_links_to_other_hosts_are_encrypted(site):
    """Without a connection nothing else can be said of them."""
    outside = {a for page in site.values() for a in page.links if a.startswith("http")}
    public = {a for a in outside if "." in (urlsplit(a).hostname or "") and "127.0.0.1" not in a}
    plain = {a for a in public if a.startswith("http://")}
    assert plain == set()
    assert len(outside) > 5


def test_equations_in_a_text_are_no_emphasis(site):
    """An underscore after a letter with an accent begins an emphasis on the site only."""
    inside = re.compile(r"[\w\u0300-\u036f]<em")
    wrong = [path.parent.name for path in site if inside.search(path.read_text(encoding="utf-8"))]
    assert wrong == []
