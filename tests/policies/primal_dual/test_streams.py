"""Streams on the simulated zoo in which the flagship must not be misled."""

import numpy as np
import pytest

from floorline.datasets import simulate
from floorline.encoders import make_encoder
from floorline.replay import prepare
from floorline.replay.scenarios.metrics import Detections
from floorline.replay.scenarios.streams import replay_scenario, shared, steady
from floorline.sla import SLA


@pytest.fixture(scope="module")
def data():
    return prepare(simulate(4000, seed=3), make_encoder("hashed"))


def test_complaints_alone_call_no_changes(data):
    scene = steady(data, floor=0.8, requests=2500, seed=1)
    seen = Detections()
    run = replay_scenario(scene, "primal_dual", seed=1, feedback="served+negative:0.5", watch=seen)
    assert seen.steps == []
    assert run.satisfied.mean() > 0.76


def test_an_sla_with_harder_requests_asks_for_better_models(data):
    slas = (SLA("usual", floor=0.75), SLA("harder", floor=0.75))
    scene = shared(
        steady(data, floor=0.75, requests=3000, seed=2), slas, (0.6, 0.4), seed=2, harder="harder"
    )
    apart = {}

    def watch(step, router):
        apart.update({name: a.difficulty_offset_ for name, a in router.policy.surplus_.items()})

    run = replay_scenario(scene, "primal_dual", seed=2, watch=watch)
    assert apart["harder"] < -0.03 < 0.0 < apart["usual"]
    asked = np.array(scene.timeline.sla) == "harder"
    paid = {name: run.cost[rows].mean() for name, rows in (("harder", asked), ("usual", ~asked))}
    assert paid["harder"] > 1.3 * paid["usual"]
    assert run.satisfied[asked].mean() > 0.72
