"""A policy that searches everything it can reach finds no label it was not told."""

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
    """Every object that code holding ``roots`` gets at without leaving through the interpreter.

    Modules and classes are not entered: from them all of a process can be reached.
    """
    seen: dict[int, object] = {}
    waiting = list(roots)
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, ModuleType | type | BuiltinFunctionType):
            continue
        seen[id(thing)] = thing
        yield thing
        if isinstance(thing, np.ndarray):
            waiting.append(thing.base)
        elif isinstance(thing, FunctionType):
            waiting += [*(thing.__closure__ or ()), thing.__defaults__, thing.__kwdefaults__]
        elif isinstance(thing, MethodType):
            waiting += [thing.__self__, thing.__func__]
        else:
            waiting += gc.get_referents(thing)


class Spy(Policy):
    """Serves the first model and keeps every array it can reach."""

    name = "spy"
    arrays: ClassVar[list[np.ndarray]] = []

    def start(self, zoo, slas, dim):
        self.zoo, self.slas = zoo, slas

    def decide(self, request, rng):
        self.look(request, rng)
        return certain(0, np.zeros(len(self.zoo)), np.ones(len(self.zoo)))

    def on_decision(self, decision):
        self.look(decision)

    def on_outcome(self, decision, model, outcome):
        self.look(decision, model, outcome)

    def on_feedback(self, decision, model, feedback, previous):
        self.look(decision, model, feedback, previous)

    def look(self, *given):
        found = (thing for thing in reachable(self, *given) if isinstance(thing, np.ndarray))
        known = {id(array) for array in Spy.arrays}
        Spy.arrays += [array for array in found if id(array) not in known]


class ToldSpy(Spy):
    """Is told every label."""

    name = "told_spy"
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


def test_a_policy_that_is_told_the_labels_is_seen_to_hold_them(spied):
    assert spied(ToldSpy)
