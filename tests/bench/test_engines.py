"""Engines of this machine and what all engines share: failures, versions and addresses."""

import importlib
import re
import sys
from pathlib import Path

import pytest
from joblib.externals.loky import get_reusable_executor

from floorline import __version__
from floorline.bench.cache import RunCache
from floorline.datasets import simulate
from floorline.encoders import HashedNgrams
from floorline.errors import InvalidInput
from floorline.replay import Result, compare, prepare
from floorline.replay.compare import ReplaysFailed, as_finished
from floorline.replay.engines import (
    EngineUnavailable,
    LocalEngine,
    Lost,
    Raised,
    check_floorline,
    check_packages,
    open_engine,
    versions,
)
from floorline.replay.spec import Spec

MODULE = "engine_test_policies"
OWN = """
import os

from floorline.policies.reference.promptless import Random


class Raises(Random):
    def decide(self, request, rng):
        raise ZeroDivisionError("of the policy")


class Dies(Random):
    def decide(self, request, rng):
        os._exit(1)


def call(shared, item):
    if item == "dies":
        os._exit(1)
    if item == "raises":
        raise ZeroDivisionError("of the call")
    return shared + item
"""


@pytest.fixture(scope="module", autouse=True)
def own_module(tmp_path_factory):
    """A module that the processes of a pool can import, as one beside the user."""
    folder = tmp_path_factory.mktemp("own")
    (folder / f"{MODULE}.py").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        # Processes of earlier tests do not know the folder.
        get_reusable_executor(max_workers=2).shutdown(wait=True)
        yield importlib.import_module(MODULE)
    get_reusable_executor(max_workers=2).shutdown(wait=True)
    sys.modules.pop(MODULE)


@pytest.fixture(scope="module")
def data():
    return prepare(simulate(60, seed=0), HashedNgrams())


def own(policy):
    return f"{MODULE}:{policy}"


def test_a_call_that_raises_or_dies_is_told_and_the_others_go_on(own_module):
    items = ["a", "raises", "b", "dies", *"cdefgh"]
    found = dict(LocalEngine(2).map(own_module.call, "x", items))
    assert len(found) == len(items)
    assert isinstance(found[3], Lost)
    lost = {items[n] for n, one in found.items() if isinstance(one, Lost)}
    for number, item in enumerate(items):
        if item == "raises" and item not in lost:
            assert found[number].error == "ZeroDivisionError: of the call"
            assert f"{MODULE}.py" in found[number].traceback
        elif item not in lost:
            assert found[number] == "x" + item


def test_a_replay_that_raises_is_named_and_all_others_finish(data):
    specs = [Spec(own("Raises"), 0.8), *(Spec("random", 0.8, seed=n) for n in range(2))]
    done = set()
    with pytest.raises(ReplaysFailed) as caught:
        done.update(one.number for one in as_finished(data, specs, jobs=1))
    (failure,) = caught.value.failures
    assert failure.spec == specs[0]
    assert "ZeroDivisionError: of the policy" in failure.traceback
    assert re.fullmatch(
        r"1 replay failed, and all others finished: \S+:Raises at floor 0.8, feedback full, seed 0:"
        r" ZeroDivisionError: of the policy",
        str(caught.value),
    )
    del done


@pytest.mark.slow
def test_a_replay_that_kills_its_process_is_named_and_all_others_finish(data):
    specs = [Spec(own("Dies"), 0.8), *(Spec("random", 0.8, seed=n) for n in range(3))]
    replays, done = as_finished(data, specs, jobs=2), set()
    with pytest.raises(ReplaysFailed, match=r"Dies at floor .* its process died 3 times") as caught:
        done.update(one.number for one in replays)
    assert done == {1, 2, 3}
    assert [one.spec for one in caught.value.failures] == specs[:1]


def test_many_failures_are_counted_and_a_few_named(data):
    specs = [Spec(own("Raises"), 0.8, seed=n) for n in range(8)]
    with pytest.raises(ReplaysFailed, match=r"^8 replays failed.*seed 4: .*; and 3 more$"):
        list(as_finished(data, specs, jobs=1))


def test_another_floorline_on_a_worker_is_refused():
    check_floorline("tcp://10.0.0.1:1", __version__)
    with pytest.raises(EngineUnavailable, match=r"tcp://10.0.0.1:1 has Floorline 0.0.1.*install"):
        check_floorline("tcp://10.0.0.1:1", "0.0.1")
    with pytest.raises(EngineUnavailable, match="has no Floorline"):
        check_floorline("tcp://10.0.0.1:1", None)


def test_other_packages_on_a_worker_are_refused():
    check_packages("w", versions())
    here = versions()["numpy"]
    with pytest.raises(EngineUnavailable, match=f"the worker w has numpy 1.0 instead of {here}"):
        check_packages("w", {**versions(), "numpy": "1.0"})


def test_what_does_not_go_together_is_refused():
    with pytest.raises(InvalidInput, match="--engine is 'spark'"):
        open_engine("spark")
    with pytest.raises(InvalidInput, match="--address"):
        open_engine("local", address="tcp://127.0.0.1:8786")


@pytest.mark.parametrize("part", [b'"asked"', b'"satisfaction":', b'"sha256":"'])
def test_a_changed_byte_of_a_kept_result_is_noticed(tmp_path, data, part):
    spec = Spec("cheapest", 0.8, horizon=50)
    (result,) = compare(data, [spec], jobs=1)
    cache = RunCache(tmp_path, {"data": "x"})
    cache.keep(spec, result)
    assert cache.find(spec, Result).scores == result.scores
    (path,) = Path(tmp_path).glob("*.json")
    whole = bytearray(path.read_bytes())
    # A digit after the part, so that the file is still JSON.
    at = next(n for n in range(whole.index(part) + len(part), len(whole)) if 48 <= whole[n] <= 57)
    whole[at] = 49 + (whole[at] - 48 + 1) % 9
    path.write_bytes(whole)
    assert cache.find(spec, Result) is None


def test_raised_is_not_a_result(own_module):
    assert isinstance(dict(LocalEngine(1).map(own_module.call, "x", ["raises"]))[0], Raised)
