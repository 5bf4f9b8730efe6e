import asyncio
import json
import signal

import httpx2 as httpx
import pytest
from tests.support.live_gateway import write_settings
from tests.support.serving import Serving
from tests.support.users import Book, Users

from floorline.events import ZooChange

pytestmark = pytest.mark.slow


@pytest.fixture
def serving(provider, tmp_path):
    begun = Serving(tmp_path, write_settings(provider)).start()
    yield begun
    begun.kill()


def repriced(text, price):
    settings = json.loads(text)
    for model in settings["models"]:
        model["output_price"] = price
    return json.dumps(settings)


async def use_while(serving, book, change):
    """Let users work until ``change()`` has taken effect, step by step, and some more."""
    users = Users(serving.url, book, "reload")
    using = asyncio.create_task(users.run(6))
    async with asyncio.timeout(120), httpx.AsyncClient(base_url=serving.url) as http:
        for effective in change():
            before = book.acknowledgements
            while not await effective(http) or book.acknowledgements < before + 3:
                assert not using.done(), "the gateway is gone"
                await asyncio.sleep(0.01)
        users.enough = True
        await using


def test_signals_and_changed_files_under_load_drop_no_request(serving):
    first = serving.path.read_text()
    book = Book()

    def change():
        for number in range(1, 7):
            serving.path.write_text(repriced(first, float(number)))
            # Every third change comes without a signal.
            if number % 3:
                serving.signal(signal.SIGHUP)

            async def effective(http, number=number):
                metrics = (await http.get("/metrics")).text
                return f"floorline_config_reloads_total {number}.0" in metrics

            yield effective

    asyncio.run(use_while(serving, book, change))
    assert (set(book.statuses), book.broken) == ({200}, 0)
    assert serving.stop() == 0
    log = [event for _, event in serving.log()]
    prices = [e.zoo.models[0].output_price for e in log if isinstance(e, ZooChange)]
    assert prices == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert book.lost(log) == (set(), [])


def test_an_invalid_file_keeps_the_settings_and_is_a_warning(serving):
    first = serving.path.read_text()
    book = Book()

    async def noted(http):
        return any("not in force" in note for note in await notes(http))

    async def mended(http):
        return not await notes(http)

    async def notes(http):
        ready = await http.get("/readyz")
        assert ready.status_code == 200
        return ready.json()["warnings"]

    def change():
        for bad in (first[: len(first) // 2], first.replace("sqlite", "oracle"), "", "\0", "[]"):
            serving.path.write_text(bad)
            serving.signal(signal.SIGHUP)
            yield noted
            serving.path.write_text(first)
            serving.signal(signal.SIGHUP)
            yield mended

    asyncio.run(use_while(serving, book, change))
    assert (set(book.statuses), book.broken) == ({200}, 0)
    assert serving.stop() == 0
    assert not [1 for _, event in serving.log() if isinstance(event, ZooChange)]
