"""The page of the servers, with two of them and a learner."""

import json
from itertools import product

import pytest
from tests.browser.accessibility import violations
from tests.browser.pages import change, overflow, picture, settle
from tests.browser.scene import configuration
from tests.browser.visiting import THEMES, WIDTHS, Visits
from tests.support.replica_processes import Processes

from floorline.gateway.replicas.breaker_hints import BREAKERS
from floorline.gateway.replicas.overview import SPOOLED, SPOOLED_BYTES
from floorline.replication.members import Membership
from floorline.replication.tables import members, now
from floorline.stores.engine import open_engine

BREAKER = {"model": "summit", "seconds": 25.0, "opening": 1, "cause": "status 503"}


@pytest.fixture
def replicas(empty_postgres, tmp_path):
    text = configuration(
        "http://127.0.0.1:1",
        {},
        auth="none",
        store={"url": empty_postgres},
        replicas={"enabled": True},
    )
    made = Processes(tmp_path, text, empty_postgres)
    made.learn()
    made.serve("a")
    yield made
    made.stop()


def test_the_page_of_the_servers(chromium, replicas, empty_postgres):
    engine = open_engine(empty_postgres)
    # One that was cut off, and is not closed before the pictures are taken.
    status = {"host": "web-2.example.com", "process": 4711, "version": "0.1.0", "state": 12_345}
    spool = {SPOOLED: 5_120, SPOOLED_BYTES: 7 * 2**20}
    Membership(engine).beat("d0123456789abcdef", {**status, **spool, BREAKERS: [BREAKER]})
    with engine.begin() as connection:
        later = members.update().where(members.c.id == "d0123456789abcdef")
        connection.execute(later.values(seen=now(engine) + 3600.0))
    engine.dispose()
    served = replicas.replicas["a"]
    visits = Visits(chromium, served.url, {})
    watched = visits.open("/dashboard", key=None)
    page = watched.page
    page.locator("#navigation").get_by_role("link", name="Replicas").click()
    settle(page)
    assert page.locator("nav a[aria-current=page]").inner_text() == "Replicas"
    shown = page.locator("main").inner_text()
    assert "web-2.example.com:4711" in shown
    assert json.dumps(BREAKER["cause"]).strip('"') in shown
    for width, theme in product(WIDTHS, THEMES):
        change(page, width, theme)
        picture(page, f"replicas-{theme}-{width}")
        assert overflow(page) == [], (theme, width)
        assert violations(page) == [], (theme, width)
    assert visits.close() == []
