"""Pages behind a proxy that serves the gateway below a path."""

import re

import pytest
from tests.support.live_gateway import write_settings

from floorline.gateway.dashboard.navigation import NAVIGATION


@pytest.mark.parametrize("path", [link.path for link in NAVIGATION])
@pytest.mark.parametrize("removed", [False, True])
def test_all_addresses_of_a_page_are_below_it(start, provider, path, removed):
    gateway = start(write_settings(provider, server={"root_path": "/llm"}))
    answer = gateway.http.get(path if removed else f"/llm{path}")
    assert answer.status_code == 200
    found = re.findall(r'(?:href|src|action|data-source|data-root)="(/[^"]*)"', answer.text)
    assert found
    assert [address for address in found if not address.startswith("/llm")] == []
    for address in {address for address in found if "/static/" in address}:
        assert gateway.http.get(address).status_code == 200


def test_a_prefix_that_a_trusted_proxy_names_counts(start, provider):
    gateway = start(write_settings(provider, server={"trusted_proxies": ["127.0.0.1"]}))
    answer = gateway.http.get("/dashboard", headers={"x-forwarded-prefix": "/team"})
    assert 'href="/team/dashboard/models"' in answer.text
