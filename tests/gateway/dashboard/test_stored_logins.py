"""Logins in the store of a gateway."""

import httpx
from tests.gateway.dashboard.conftest import Keyed
from tests.support.live_gateway import write_settings

from floorline.errors import StoreUnavailable
from floorline.stores.logins import LoginStore


def test_a_login_survives_a_restart(start, provider):
    text = write_settings(provider, auth="keys")
    before = Keyed(start(text))
    _, secret = before.key("eyes", ["view"])
    token = before.browser(secret).cookies["floorline_login"]
    before.stop()
    before.live.stop()
    after = start(text)
    headers = {"cookie": f"floorline_login={token}", "accept": "text/html"}
    page = httpx.get(f"{after.url}/dashboard", headers=headers, timeout=60)
    assert page.status_code == 200
    assert "eyes" in page.text


def test_a_logout_that_cannot_be_kept_is_an_error(keyed, monkeypatch):
    def fail(self, digests):
        raise StoreUnavailable("the disk is gone")

    client = keyed.browser(keyed.key("eyes", ["view"])[1])
    token = client.get("/dashboard").text.partition('name="csrf" value="')[2].partition('"')[0]
    monkeypatch.setattr(LoginStore, "remove", fail)
    answer = client.post("/dashboard/logout", data={"csrf": token})
    assert answer.status_code == 503
    assert "the disk is gone" in answer.text
