"""Tests that a policy that searches all reachable objects finds no label it may not know."""

import gc
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import ClassVar

import numpy as np
import pytest

from floorline.policies import Policy
from floorline.policies.base import certain
from floorline.replay.run import replay, stream_rows
from floorline.replay.spec import Spec


def reachable(*roots: object) -> Iterator[object]:
    """All objects that are reachable from ``roots``, without modules and classes.

    Modules and classes are skipped, because every object of the process is reachable from them.
    """
    seen: dict[int, object] = {}
    waiting = list(roots)
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, ModuleType | type | BuiltinFunctionType):
            continue
        seen[id(item)] = item
        yield item
        if isinstance(item, np.ndarray):
            waiting.append(item.base)
        elif isinstance(item, FunctionType):
            waiting += [*(item.__closure__ or ()), item.__defaults__, item.__kwdefaults__]
        elif isinstance(item, MethodType):
            waiting += [item.__self__, item.__func__]
        else:
            waiting += gc.get_referents(item)


class Spy(Policy):
    """Policy that serves the first model and collects all arrays it can reach."""

    name = "spy"
    arrays: ClassVar[list[np.ndarray]] = []

    def start(self, zoo, slas, dim):
        self.zoo, self.slas = zoo, slas

    def decide(self, request, rng):
        self.collect(request, rng)
        return certain(0, np.zeros(len(self.zoo)), np.ones(len(self.zoo)))

    def on_decision(self, decision):
        self.collect(decision)

    def on_outcome(self, decision, model, outcome):
        self.collect(decision, model, outcome)

    def on_feedback(self, decision, model, feedback, previous):
        self.collect(decision, model, feedback, previous)

    def collect(self, *given):
        found = (item for item in reachable(self, *given) if isinstance(item, np.ndarray))
        known = {id(array) for array in Spy.arrays}
        Spy.arrays += [array for array in found if id(array) not in known]


class LabelSpy(Spy):
    """Spy that knows all labels."""

    name = "label_spy"
    knows = "labels"

    def __init__(self, *, quality, cost):
        self.quality, self.cost = quality, cost


@pytest.fixture
def spied(simulated):
    def run(kind):
        Spy.arrays.clear()
        spec = Spec(f"{__name__}:{kind.__name__}", 0.8, history=0.25, horizon=20)
        replay(simulated, spec)
        _, stream = stream_rows(simulated, spec)
        labels = (simulated.quality, simulated.quality[stream], simulated.cost)
        return [
            array
            for array in Spy.arrays
            if any(
                np.may_share_memory(array, table) or array.shape == table.shape for table in labels
            )
        ]

    return run


def test_a_policy_reaches_no_table_of_labels_or_costs(spied):
    assert spied(Spy) == []
    assert Spy.arrays


def test_the_labels_of_a_policy_that_knows_them_are_found(spied):
    assert spied(LabelSpy)
