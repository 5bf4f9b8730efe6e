"""A suite: which replays make a report, declared in YAML."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from floorline.errors import DataError, InvalidInput
from floorline.policies import BUDGET_REFERENCE_POINTS, REFERENCE_POINTS, policy_class
from floorline.replay.budgets import SPLITS, budgets_for
from floorline.replay.data import ReplayData
from floorline.replay.spec import Spec


class PolicyUnderTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy with parameters; ``label`` is how tables call it, the policy's name by default."""

    policy: str
    parameters: Mapping[str, Any] = {}
    label: str = ""

    @property
    def shown(self) -> str:
        """How tables call it."""
        return self.label or self.policy


class Cell(NamedTuple):
    """One replay of a report: how its policy is called, and in which of its tables it stands."""

    label: str
    spec: Spec
    setting: tuple[Any, ...]


class Floors(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="floors", tag_field="kind"
):
    """Policies at floors under feedback models, on several data sets.

    ``data`` maps names of data sets to their floors; ``rows`` limits the simulated zoo's size.
    """

    name: str
    data: Mapping[str, tuple[float, ...]]
    policies: tuple[PolicyUnderTest, ...]
    feedback: tuple[str, ...] = ("full",)
    seeds: int = 5
    history: float = 0.0
    horizon: int | None = None
    rows: int | None = None
    references: bool = True

    def cells(self, name: str, data: ReplayData) -> Iterator[Cell]:
        """All replays on one data set."""
        extra = REFERENCE_POINTS if self.references else ()
        for feedback in self.feedback:
            for floor in self.data[name]:
                for tested in with_references(self.policies, extra):
                    for seed in range(self.seeds):
                        spec = Spec(
                            policy=tested.policy,
                            floor=floor,
                            feedback=feedback,
                            seed=seed,
                            parameters=dict(tested.parameters),
                            history=self.history,
                            horizon=self.horizon,
                        )
                        yield Cell(tested.shown, spec, (feedback,))


class Budgets(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="budgets", tag_field="kind"
):
    """Policies under budgets per model, after a labelled history.

    ``requests`` are numbers of requests, the last rows of the shuffled data; the rows before them
    are the history. ``factors`` are total budgets as multiples of the cheapest model's bill,
    ``splits`` how they are divided among models. ``rows`` limits the simulated zoo's size.
    """

    name: str
    data: tuple[str, ...]
    policies: tuple[PolicyUnderTest, ...]
    requests: tuple[int, ...] = (1000,)
    splits: tuple[str, ...] = SPLITS
    factors: tuple[float, ...] = (1.0, 4.0)
    seeds: int = 5
    rows: int | None = None

    def cells(self, name: str, data: ReplayData) -> Iterator[Cell]:
        """All replays on one data set."""
        for requests in self.requests:
            if not 0 < requests < data.rows:
                fix = f"give 1 to {data.rows - 1}, so that rows remain as history"
                raise InvalidInput(f"requests of {self.name}", requests, fix)
            history = 1.0 - requests / data.rows
            for factor in self.factors:
                for split in self.splits:
                    for tested in with_references(self.policies, BUDGET_REFERENCE_POINTS):
                        for seed in range(self.seeds):
                            bare = Spec(tested.policy, 0.0, seed=seed, history=history)
                            spec = msgspec.structs.replace(
                                bare,
                                parameters=self._parameters(tested, requests),
                                budgets=budgets_for(data, bare, split, factor),
                            )
                            yield Cell(tested.shown, spec, (requests, factor, split))

    @staticmethod
    def _parameters(tested: PolicyUnderTest, requests: int) -> dict[str, Any]:
        """Parameters, with the number of requests for policies that plan for it."""
        plans = "horizon" in inspect.signature(policy_class(tested.policy)).parameters
        return {**({"horizon": requests} if plans else {}), **tested.parameters}


class Judgement(PolicyUnderTest, frozen=True, forbid_unknown_fields=True):
    """A policy under PROTEUS's protocol; ``history``: it learns from the training rows first.

    For ``proteus``, ``parameters`` are those of its training (``training.Settings``).
    """

    history: bool = False


class Protocols(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="protocol", tag_field="kind"
):
    """Policies judged by PROTEUS's protocol on held-out rows of several random splits.

    ``moving`` adds floors that move while a policy serves, on the first split.
    """

    name: str
    data: tuple[str, ...]
    policies: tuple[Judgement, ...]
    splits: int = 3
    moving: bool = True
    rows: int | None = None


def with_references(
    tested: Sequence[PolicyUnderTest], references: Sequence[str]
) -> list[PolicyUnderTest]:
    """Policies under test, and the reference points that are not among them."""
    named = {policy.policy for policy in tested}
    return [*tested, *(PolicyUnderTest(name) for name in references if name not in named)]


Part = Floors | Budgets | Protocols


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A title and its parts."""

    title: str
    parts: tuple[Part, ...]


def suite_folder() -> Path:
    """Where the suites that ship with Floorline lie."""
    packaged = Path(str(resources.files("floorline"))) / "suites"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "benchmarks" / "suites"


def load_suite(name: str) -> Suite:
    """Load a suite by name or from a YAML file; ``all`` is every shipped suite but ``smoke``.

    Raises
    ------
    InvalidInput
        If there is no such suite.
    DataError
        If the file is not one.
    """
    shipped = {path.stem: path for path in sorted(suite_folder().glob("*.yaml"))}
    if name == "all":
        parts = [load_suite(other).parts for other in shipped if other != "smoke"]
        return Suite("All suites", tuple(part for group in parts for part in group))
    path = shipped.get(name, Path(name))
    if not path.is_file():
        known = ", ".join(["all", *shipped])
        raise InvalidInput("--suite", name, f"name one of {known}, or a YAML file of your own")
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=Suite)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(path, f"not a suite: {' '.join(str(error).split())}") from error
