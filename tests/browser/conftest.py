"""Chromium, the gateway that it visits, and pages in which a fault fails the test."""

import os
import shutil

import pytest
from tests.browser.accessibility import AXE
from tests.browser.scene import Scene
from tests.browser.visiting import Visits

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
"""Names of Chromium in distributions; the first one that is there is used."""


def pytest_collection_modifyitems(items):
    missing = "" if AXE.is_file() else "'make test-browser' installs axe-core"
    if not any(map(shutil.which, PROGRAMS)):
        missing = f"needs Chromium: install one of {', '.join(PROGRAMS)}"
    for item in items:
        if item.path.is_relative_to(AXE.parents[2]):
            item.add_marker(pytest.mark.browser)
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session")
def chromium():
    """The browser, without a window."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, PROGRAMS)))
    # Chromium has no sandbox for root, and a container's shared memory is small.
    flags = ["--disable-dev-shm-usage"] + ["--no-sandbox"] * (os.geteuid() == 0)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    """The gateway with three days behind it and some minutes of its own."""
    started = Scene(tmp_path_factory.mktemp("scene"))
    started.live()
    yield started
    started.stop()


@pytest.fixture
def visits(chromium, scene):
    """Open pages of the gateway; the test fails if one of them had a fault."""
    opened = Visits(chromium, scene.url, scene.secrets)
    yield opened
    faults = opened.close()
    assert faults == []
