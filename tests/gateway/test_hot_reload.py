"""A busy gateway applies a changed configuration without a failed request."""

import json
import threading

import httpx2 as httpx
from tests.support.live_gateway import MODELS, wait_until, write_settings

from floorline.events import ConfigChange


class Clients:
    """Threads that ask one question after the other, every second one as a stream."""

    def __init__(self, url, count):
        self.url = url
        self.answers = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        with httpx.Client(base_url=self.url, timeout=60) as http:
            stream = False
            while not self._stop.is_set():
                stream = not stream
                body = {
                    "model": "floorline/gold",
                    "messages": [{"role": "user", "content": "Why is the sky blue?"}],
                    "stream": stream,
                }
                try:
                    answer = http.post("/v1/chat/completions", json=body)
                except httpx.HTTPError as error:
                    self.answers.append(repr(error))
                    continue
                whole = answer.text.endswith("data: [DONE]\n\n") if stream else answer.json()["id"]
                self.answers.append(answer.status_code if whole else answer.text)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def changed(text, number):
    """The settings with other prices, every second time without a model and with one more SLA."""
    settings = json.loads(text)
    for model in settings["models"]:
        model["output_price"] += number
    if number % 2:
        del settings["models"][-1]
        settings["slas"].append({"name": "bronze", "floor": 0.5})
    return json.dumps(settings)


def test_no_request_is_dropped_while_models_prices_and_slas_change(start, provider, tmp_path):
    path = tmp_path / "floorline.yaml"
    first = write_settings(provider)
    path.write_text(first)
    live = start(first, path=path)
    clients = Clients(live.url, 4)
    try:
        for number in range(1, 13):
            seen = len(clients.answers)
            path.write_text(changed(first, number))
            assert live.call(live.gateway.reloader.reload)
            prices = [model.output_price for model in live.gateway.router.zoo.models]
            before = json.loads(first)["models"][: len(prices)]
            assert prices == [model["output_price"] + number for model in before]
            assert len(prices) == len(MODELS) - number % 2
            assert ("bronze" in live.gateway.router.slas) == bool(number % 2)
            wait_until(lambda seen=seen: len(clients.answers) > seen + 8, 60)
    finally:
        clients.stop()
    assert set(clients.answers) == {200}
    assert len(clients.answers) > 90


def test_an_applied_file_is_logged_by_the_names_of_what_changed(start, provider, tmp_path):
    path = tmp_path / "floorline.yaml"
    first = write_settings(provider)
    path.write_text(first)
    live = start(first, path=path)
    settings = json.loads(changed(first, 1))
    settings["memory"] = 1234
    settings["server"] = {"max_body": "1 MB"}
    path.write_text(json.dumps(settings))
    assert live.call(live.gateway.reloader.reload)
    # The same file again, and one that is refused, change nothing.
    live.call(live.gateway.reloader.reload)
    path.write_text(first.replace('"floor":0.85', '"floor":8.5'))
    assert live.call(live.gateway.reloader.reload) is None
    store = live.gateway.store
    store.flush()
    (event,) = [one for one in store.read() if isinstance(one, ConfigChange)]
    left = MODELS[:-1]
    assert event.changed == (
        f"models removed: {MODELS[-1]}",
        *(f"models changed: {name}" for name in left),
        *(f"prices: {name}" for name in left),
        "slas added: bronze",
        "server.max_body",
    )
    assert event.waiting == ("memory",)
    assert event.at > 1e9


def test_an_invalid_file_is_a_warning_and_changes_nothing(start, provider, tmp_path):
    path = tmp_path / "floorline.yaml"
    first = write_settings(provider)
    path.write_text(first)
    live = start(first, path=path)
    path.write_text(first.replace('"floor":0.85', '"floor":8.5'))
    assert live.call(live.gateway.reloader.reload) is None
    ready = live.http.get("/readyz")
    assert ready.status_code == 200
    assert "slas[0].floor is 8.5: give the share" in " ".join(ready.json()["warnings"])
    assert "floorline_config_in_force 0.0" in live.http.get("/metrics").text
    assert live.chat().status_code == 200
