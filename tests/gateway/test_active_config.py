"""Settings are applied wholly or not at all, with the models of the run time."""

import asyncio
import json

import pytest
from tests.support.gateway_parts import SETTINGS

from floorline.config import load_text
from floorline.errors import FloorlineError, StoreUnavailable
from floorline.events import ZooChange
from floorline.gateway.active_config import ActiveConfig
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.upstreams import Upstreams
from floorline.router import Router
from floorline.stores.sql import SqlStore

NEW = b'{"name": "new", "endpoint": "http://127.0.0.1:1/v1", "output_price": 2}'


def settings(**changed):
    allowed = {"endpoints": [{"url": "http://127.0.0.1:1"}]}
    return load_text(json.dumps({**SETTINGS, "runtime_models": allowed, **changed}), environ={})


class Built:
    def __init__(self, folder, **changed):
        first = settings(**changed)
        self.store = SqlStore(f"sqlite:///{folder}/log.db")
        self.runtime = models = RuntimeModels(self.store)
        desired = models.desired_state(first)
        self.router = Router(desired.zoo, "cheapest", desired.slas, log=self.store)
        self.upstreams = Upstreams()
        self.config = ActiveConfig(first, models, self.router, self.upstreams, self.store)

    @property
    def models(self):
        names = self.router.zoo.names
        assert set(names) == set(self.config.calls) == set(self.upstreams.health())
        return names


@pytest.fixture
def built(tmp_path):
    built = Built(tmp_path)
    yield built
    built.store.close()


def test_the_first_settings_change_nothing_in_the_log(built):
    assert built.models == ("small", "large")
    assert built.config.calls["large"].model == "their-large"
    assert len(built.store) == 0


def test_a_reload_changes_router_and_calls_and_is_durable(built):
    cheaper = [{**model, "output_price": 0.5, "retries": 7} for model in SETTINGS["models"][:1]]
    new = settings(models=cheaper, slas=[{"name": "gold", "floor": 0.8}])
    asyncio.run(built.config.reload(built.config.settings, new))
    assert (built.models, built.router.slas["gold"].floor) == (("small",), 0.8)
    assert built.config.calls["small"].retries == 7
    assert built.config.settings is new
    assert built.store.durable == len(built.store) > 0


def test_a_file_that_names_a_removed_model_brings_it_back(built, tmp_path):
    asyncio.run(built.config.remove_model("large"))
    named = {"slas": [{"name": "gold", "floor": 0.9, "models": ["large"]}]}
    asyncio.run(built.config.reload(built.config.settings, settings(**named)))
    assert built.models == ("small", "large")
    assert "an SLA of floorline.yaml names the model" in built.runtime.problems["large"]
    # The restart fails as little as the reload.
    built.store.close()
    again = Built(tmp_path, **named)
    assert again.models == ("small", "large")
    again.store.close()


def test_models_of_the_run_time_persist(built, tmp_path):
    asyncio.run(built.config.add_model(NEW))
    asyncio.run(built.config.remove_model("large"))
    assert built.models == ("small", "new")
    built.store.close()
    again = Built(tmp_path)
    assert again.models == ("small", "new")
    again.store.close()


@pytest.mark.parametrize(
    "change", [lambda c: c.remove_model("small"), lambda c: c.add_model(b'{"name": "new"}')]
)
def test_a_change_that_cannot_be_applied_is_not_kept(built, tmp_path, change):
    asyncio.run(built.config.remove_model("large"))
    with pytest.raises(FloorlineError):
        asyncio.run(change(built.config))
    assert built.models == ("small",)
    assert built.store.documents("model") == {"large": b"null"}


def test_a_change_that_cannot_be_kept_is_taken_back(built, monkeypatch):
    def full(*given):
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(built.store, "put_document", full)
    with pytest.raises(StoreUnavailable):
        asyncio.run(built.config.add_model(NEW))
    assert built.models == ("small", "large")
    changes = [event.zoo.names for event in built.store.read() if isinstance(event, ZooChange)]
    assert changes == [("small", "large", "new"), ("small", "large")]
