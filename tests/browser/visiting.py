"""Visits to the dashboard: who, how wide, in which theme."""

from tests.browser.pages import HEIGHT
from tests.browser.watching import Watched

WIDTHS = (390, 1280)
"""Of a phone and of a laptop, in CSS pixels."""
THEMES = ("light", "dark")
_LOGGED_IN = {}
"""Cookies of those who have logged in, by gateway and key: one login serves all tests."""


class Visits:
    """Opens pages of one gateway.

    Parameters
    ----------
    chromium
        The browser.
    url
        The gateway.
    secrets
        Secrets of keys, by name.

    Attributes
    ----------
    waited
        Addresses of pages that had to wait, because they logged in too often.
    """

    def __init__(self, chromium, url, secrets):
        self.chromium = chromium
        self.url = url
        self.secrets = secrets
        self._watched = []
        self._contexts = []
        self.waited = []

    def open(self, path, key="operator", *, width=1280, theme="light", **options):
        """Open a page as someone who has logged in with a key; None for no login."""
        state = None if key is None else self._state(key)
        watched = self.watched(width=width, theme=theme, storage_state=state, **options)
        watched.page.goto(self.url + path)
        return watched

    def watched(self, *, width=1280, theme="light", **options):
        """Open an empty page."""
        context = self.chromium.new_context(
            viewport={"width": width, "height": HEIGHT}, color_scheme=theme, **options
        )
        context.set_default_timeout(60_000)
        self._contexts.append(context)
        watched = Watched(context)
        self._watched.append(watched)
        return watched

    def log_in(self, page, secret):
        """Fill in the form of the login page and send it."""
        page.goto(f"{self.url}/dashboard/login")
        self.send_key(page, secret)

    def send_key(self, page, secret):
        """Fill in the login form that a page shows, and send it.

        All tests log in from one address, so that the limit of attempts may make them wait.
        """
        field = page.locator("input[type=password]")
        field.fill(secret)
        with page.expect_response(lambda answer: answer.request.method == "POST") as sent:
            field.press("Enter")
        if sent.value.status == 429:
            self.waited.append(page.url)
            page.wait_for_timeout(1000 * int(sent.value.headers["retry-after"]))
            page.go_back()
            self.send_key(page, secret)

    def close(self):
        """Close all pages; what went wrong in them."""
        for context in self._contexts:
            context.close()
        faults = [fault for watched in self._watched for fault in watched.unexpected()]
        return [fault for fault in faults if "429" not in fault or not self.waited]

    def _state(self, key):
        known = _LOGGED_IN.get((self.url, key))
        if known is None:
            watched = self.watched()
            self.log_in(watched.page, self.secrets[key])
            watched.page.wait_for_url(lambda url: "/login" not in url)
            known = _LOGGED_IN[self.url, key] = watched.page.context.storage_state()
        return known
