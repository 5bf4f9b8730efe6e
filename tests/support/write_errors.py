"""Send values that a database cannot hold in every field, and look whether others go on."""

import itertools
import json
from collections import Counter

import httpx2 as httpx

BAD = (
    "\0", "a\0b", "x" * 300, "x" * 9_000, "é" * 3_000, "\ud800", "\U0010ffff" * 200, "",
    0, -1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, 1e308, 5e-324, 0.5, True, None,
    [], {},
)  # fmt: skip
"""Texts, numbers and other values in place of each field."""


class Found:
    """What came out of it.

    Attributes
    ----------
    statuses
        Number of answers to bad requests, by status.
    others, others_failed
        Number of good requests of another user in between, and of those that failed.
    """

    def __init__(self):
        self.statuses = Counter()
        self.others = 0
        self.others_failed = 0

    @property
    def failed(self):
        """Number of bad requests that were answered by a status of 500 or above."""
        return sum(n for status, n in self.statuses.items() if status >= 500)


def send_bad_values(url, *, every=10):
    """Send each bad value in each field; a good request after ``every`` bad ones."""
    found = Found()
    with httpx.Client(base_url=url, timeout=60.0) as client:
        for number, (path, body, headers) in enumerate(_requests(client)):
            answer = client.post(path, content=_json(body), headers=headers)
            found.statuses[answer.status_code] += 1
            if number % every == 0:
                found.others += 1
                found.others_failed += not _good(client)
    return found


def _json(body):
    # Lone surrogates become escapes, as a client in another language sends them.
    return json.dumps(body).encode()


def _good(client):
    """Return whether a whole request with feedback succeeds."""
    chat = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    answer = client.post("/v1/chat/completions", json=chat)
    if answer.status_code != 200:
        return False
    label = {"id": answer.headers["x-floorline-decision"], "satisfied": True}
    return client.post("/v1/feedback", json=label).status_code == 200


def _requests(client):
    """Yield paths, bodies and headers."""
    headers = {"content-type": "application/json"}
    chat = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    bodies = {
        "/v1/chat/completions": {**chat, "user": "u", "max_tokens": 5, "temperature": 1.0},
        "/v1/route": {**chat, "sla": "gold", "session": "s", "floor": 0.5, "input_tokens": 3},
        "/v1/outcomes": {
            "id": "", "cost": 0.1, "input_tokens": 1, "output_tokens": 1, "latency": 0.1,
            "error": "e", "completion": "c",
        },
        "/v1/feedback": {
            "id": "", "score": 0.5, "source": "user", "idempotency": "k", "decision": "",
        },
    }  # fmt: skip
    for path, body in bodies.items():
        for field, bad in itertools.product(body, BAD):
            if "id" in body:
                route = client.post("/v1/route", json=chat)
                body = {**body, "id": route.json().get("id", "")}
            yield path, {**body, field: bad}, headers
    names = ("x-floorline-session", "x-floorline-floor", "x-floorline-sla", "x-request-id")
    texts = [value for value in BAD if isinstance(value, str)]
    for name, value in itertools.product(names, texts):
        shown = value.encode("utf-8", "surrogatepass").replace(b"\0", b"\x01")[:3_000]
        yield "/v1/chat/completions", chat, {**headers, name: shown}
