"""The documentation as a site: its links, and what it loads."""

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

from tests.support.doc_blocks import ROOT


def build(folder):
    """Build the site, strictly, into ``site`` of a folder, and return its path.

    Parameters
    ----------
    folder
        Where copies of the pages and the configuration are put, so that builds of two tests do not
        write into one folder.
    """
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("*.py", "__*"))
    (folder / "zensical.toml").write_bytes((ROOT / "zensical.toml").read_bytes())
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


class Page(HTMLParser):
    """What a page links to, what it loads, and the ids that links to it may name."""

    _LOADS = (("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"))

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.ids = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if given.get("id"):
            self.ids.add(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        for name, attribute in self._LOADS:
            if tag == name and given.get(attribute):
                self.loads.append(given[attribute])


def target(page, address):
    """Return the file of an address on a page and the id in it; None for other hosts."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    return (path / "index.html" if path.is_dir() else path), unquote(parts.fragment)
