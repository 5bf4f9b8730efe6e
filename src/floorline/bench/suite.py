"""A suite: which replays make a report, declared in YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from floorline.errors import DataError, InvalidInput
from floorline.policies import REFERENCE_POINTS
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

    def specs(self, data: str) -> Iterator[tuple[str, Spec]]:
        """All replays on one data set, with the labels of their policies."""
        tested = [(p.shown, p.policy, p.parameters) for p in self.policies]
        if self.references:
            named = {p.policy for p in self.policies}
            tested += [(name, name, {}) for name in REFERENCE_POINTS if name not in named]
        for feedback in self.feedback:
            for floor in self.data[data]:
                for label, policy, parameters in tested:
                    for seed in range(self.seeds):
                        yield (
                            label,
                            Spec(
                                policy=policy,
                                floor=floor,
                                feedback=feedback,
                                seed=seed,
                                parameters=dict(parameters),
                                history=self.history,
                                horizon=self.horizon,
                            ),
                        )


Part = Floors


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
