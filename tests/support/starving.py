"""Take a gateway's disk away while it is used, give it back, and look at what is left."""

import asyncio
import contextlib
import subprocess
import time
from pathlib import Path

import httpx2 as httpx

from tests.support.users import Book, Users


class Starving:
    """What came out of it.

    Attributes
    ----------
    book
        What users were told before, during and after.
    refusals
        Answers of 503 while the disk was full.
    seconds_to_recover
        From the space being back to the first answer.
    """

    def __init__(self):
        self.book = Book()
        self.refusals = 0
        self.seconds_to_recover = 0.0


def starve(serving, take_space, give_space, *, clients=4, patience=180.0):
    """Use a gateway that runs, take its space away until it refuses, give it back, use it more."""
    found = Starving()
    book = found.book
    with httpx.Client(base_url=serving.url, timeout=patience) as http:
        asyncio.run(_use_until(serving.url, book, 1, clients, lambda: book.acknowledgements >= 5))
        take_space()
        asyncio.run(_use_until(serving.url, book, 2, clients, lambda: book.statuses[503] >= 5))
        found.refusals = book.statuses[503]
        _check_refusals(http)
        served = book.statuses[200]
        give_space()
        freed = time.monotonic()
        while http.get("/readyz").status_code != 200:
            assert time.monotonic() < freed + patience, "it never came back"
            time.sleep(0.01)
        asyncio.run(_use_until(serving.url, book, 3, clients, lambda: book.statuses[200] > served))
        found.seconds_to_recover = time.monotonic() - freed
        assert book.statuses[503] - found.refusals < 5 * clients
    return found


async def _use_until(url, book, seed, clients, enough):
    users = Users(url, book, seed)
    using = asyncio.create_task(users.run(clients))
    async with asyncio.timeout(120):
        while not enough():
            assert not using.done(), "the gateway is gone"
            await asyncio.sleep(0.005)
        users.enough = True
        await using


def _check_refusals(http):
    ready = http.get("/readyz")
    assert ready.status_code == 503
    (problem,) = ready.json()["errors"]
    assert problem.startswith("the event log cannot be written: the store sqlite:///")
    assert http.get("/healthz").status_code == 200
    chat = {"model": "floorline/gold", "messages": [{"role": "user", "content": "?"}]}
    for path, body in (
        ("/v1/chat/completions", chat),
        ("/v1/chat/completions", chat | {"stream": True}),
        ("/v1/feedback", {"id": "d0-1", "satisfied": True}),
        ("/v1/route", chat),
    ):
        refused = http.post(path, json=body)
        assert refused.status_code == 503, refused.text
        assert refused.json()["error"]["code"] == "log_unavailable"
        assert int(refused.headers["retry-after"]) > 0


@contextlib.contextmanager
def small_disk(folder, size):
    """Mount a file system of so many bytes; PermissionError without the right to."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "floorline", folder]
    if subprocess.run(command, capture_output=True).returncode:
        raise PermissionError("file systems cannot be mounted here")
    try:
        yield Path(folder)
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder):
    """Fill a file system up; the file that does."""
    ballast = Path(folder) / "ballast"
    with ballast.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"\0" * 4096)
    return ballast
