"""Logs and snapshots of earlier versions of the serialised form.

``log_of_version_4.json.z`` was written by the code before decisions had a rule, scores, multipliers
and what barred models: 12 requests under two SLAs, with outcomes and feedback, and a snapshot.
"""

import base64
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from tests.support.inside import fold_of

from floorline import SLA, Model, Router, Zoo
from floorline.events import Decision, decode_event, encode_event
from floorline.replay.environment import GivenFeatures
from floorline.sla import Budget

ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])
SLAS = [SLA("gold", floor=0.7), SLA("paid", floor=0.5, budget=Budget(total=1000.0))]


@pytest.fixture(scope="module")
def written():
    packed = Path(__file__).with_name("log_of_version_4.json.z").read_bytes()
    found = json.loads(zlib.decompress(packed))
    events = [base64.b64decode(text) for text in found["events"]]
    return events, base64.b64decode(found["snapshot"])


def router():
    return Router(ZOO, slas=SLAS, encoder=GivenFeatures(2, "given"), seed=3, id_prefix="old-")


def test_decisions_of_version_4_are_read(written):
    decisions = [e for e in map(decode_event, written[0]) if isinstance(e, Decision)]
    assert len(decisions) == 12
    for made in decisions:
        assert (made.v, made.rule, made.scores, made.multipliers, made.barred) == (
            4,
            "",
            None,
            {},
            {},
        )
        back = decode_event(encode_event(made))
        assert back.propensities.tolist() == made.propensities.tolist()
        assert back.v == 4


def test_a_snapshot_of_version_4_gives_the_state_of_its_log(written):
    events, snapshot = written
    folded, restored = router(), router()
    folded.apply(map(decode_event, events))
    restored.restore(snapshot)
    assert restored.remembered == folded.remembered
    for sla in SLAS:
        assert restored.status(sla.name) == folded.status(sla.name)
    found = restored.policy.model_estimates(), folded.policy.model_estimates()
    assert found[0].labels.tolist() == found[1].labels.tolist()
    assert found[0].mean.tolist() == found[1].mean.tolist()
    assert fold_of(restored).decisions_ == 12


def test_serving_goes_on_after_a_log_of_version_4(written):
    events, snapshot = written
    going = router()
    going.restore(snapshot)
    made = going.route(features=np.array([1.0, 1.0], np.float32), sla="gold", at=20.0)
    assert (made.v, made.seq, made.rule) == (5, 13, "static mix")
    # A label of an earlier decision still finds it.
    old = next(e for e in map(decode_event, events) if isinstance(e, Decision))
    assert going.feedback(old.id, score=1.0, at=21.0)
