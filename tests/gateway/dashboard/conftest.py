import httpx
import pytest
from tests.support.gateway_fixtures import gateway, provider, start
from tests.support.live_gateway import NO_AUTHORITIES, write_settings

from floorline.gateway.dashboard import log_view
from floorline.gateway.dashboard.pages import whatif
from floorline.stores import browsing

__all__ = ["gateway", "provider", "start"]


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Let pages wait as long as a busy machine needs."""
    monkeypatch.setattr(browsing, "_SECONDS", 60.0)
    monkeypatch.setattr(log_view, "_COMMIT_SECONDS", 60.0)
    monkeypatch.setattr(whatif, "_WAIT_SECONDS", 60.0)


SLAS = [
    {"name": "gold", "floor": 0.85},
    {"name": "own", "floor": 0.6, "per_tenant": True},
]


class Keyed:
    """A gateway with keys, and browsers that log in with them."""

    def __init__(self, live):
        self.live = live
        self.gateway = live.gateway
        self.url = live.url
        self._browsers = []

    def key(self, name, scopes, **about):
        """Create a key that is accepted at once; returns it and its secret."""
        keys = self.gateway.store.keys
        made = keys.create(name, scopes, **about)
        self.live.call(self.gateway.auth.set_keys, keys.list())
        return made

    def browser(self, secret=None):
        """A client with a cookie jar of its own, logged in if a secret is given."""
        client = httpx.Client(
            base_url=self.url,
            timeout=60,
            verify=NO_AUTHORITIES,
            headers={"accept": "text/html", "origin": self.url},
        )
        self._browsers.append(client)
        if secret is not None:
            answer = log_in(client, secret)
            assert answer.status_code == 303, answer.text
        return client

    def chat(self, secret, text="Why is the sky blue?", model="floorline/gold"):
        headers = {"authorization": f"Bearer {secret}"}
        return self.live.chat(text, model, headers=headers)

    def stop(self):
        for client in self._browsers:
            client.close()


def log_in(client, secret, **fields):
    """Send the login form as a browser does."""
    page = client.get("/dashboard/login", params={"next": fields.pop("next", "/dashboard")})
    token = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    back = page.text.partition('name="next" value="')[2].partition('"')[0]
    form = {"csrf": token, "next": back, "key": secret, **fields}
    return client.post("/dashboard/login", data=form)


@pytest.fixture
def keyed(start, provider):
    """A gateway with keys."""
    found = Keyed(start(write_settings(provider, auth="keys", slas=SLAS)))
    yield found
    found.stop()
