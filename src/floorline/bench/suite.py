"""The schema of a suite file: which replays a report consists of."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from floorline._bounded import TooLarge, check_yaml, read_text
from floorline._decoding import decoding_reason
from floorline.errors import DataError, InvalidInput, did_you_mean
from floorline.policies import BUDGET_REFERENCE_POINTS, REFERENCE_POINTS, policy_class
from floorline.replay.budgets import SPLITS, budgets_for
from floorline.replay.data import ReplayData
from floorline.replay.spec import Spec


class PolicyUnderTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy with its parameters.

    Parameters
    ----------
    policy
        Name of the policy.
    parameters
        Arguments of its constructor.
    label
        Name of the policy in tables and plots. Default: ``policy``.
    """

    policy: str
    parameters: Mapping[str, Any] = {}
    label: str = ""

    @property
    def shown(self) -> str:
        """Name of the policy in tables and plots."""
        return self.label or self.policy


class Cell(NamedTuple):
    """One replay of a report.

    Parameters
    ----------
    label
        Name of the policy in tables and plots.
    spec
        Specification of the replay.
    setting
        What replays in one table of the report have in common.
    """

    label: str
    spec: Spec
    setting: tuple[Any, ...]


class Floors(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="floors", tag_field="kind"
):
    """Replays of policies under floors and feedback models, on several data sets.

    Parameters
    ----------
    name
        Name of the part in the report.
    data
        Floors by name of the data set.
    policies
        Policies under test.
    feedback
        Texts of feedback models.
    seeds
        Number of seeds.
    history
        Share of the rows that policies get as labelled history.
    horizon
        Number of requests. Default: all rows.
    rows
        Number of rows of the simulated data set. Default: its usual number.
    references
        Whether to replay the reference points too.
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
        """Yield all replays on one data set."""
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
    """Replays of policies under budgets per model, after a labelled history.

    Parameters
    ----------
    name
        Name of the part in the report.
    data
        Names of the data sets.
    policies
        Policies under test.
    requests
        Numbers of requests: the last rows of the shuffled data; the rows before are the history.
    splits
        Divisions of the total budget among the models.
    factors
        Total budgets as multiples of the cost of the stream with the cheapest model.
    seeds
        Number of seeds.
    rows
        Number of rows of the simulated data set. Default: its usual number.
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
        """Yield all replays on one data set.

        Raises
        ------
        InvalidInput
            If no rows remain as history.
        """
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
        """Return the parameters, and the number of requests for policies with a ``horizon``."""
        has_horizon = "horizon" in inspect.signature(policy_class(tested.policy)).parameters
        return {**({"horizon": requests} if has_horizon else {}), **tested.parameters}


class EvaluatedPolicy(PolicyUnderTest, frozen=True, forbid_unknown_fields=True):
    """A policy under PROTEUS's protocol.

    Parameters
    ----------
    policy, label
        As in ``PolicyUnderTest``.
    parameters
        Arguments of its constructor; for ``proteus``, fields of ``training.TrainingSettings``.
    history
        Whether the policy learns from the training rows first.
    """

    history: bool = False


class Protocols(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="protocol", tag_field="kind"
):
    """Evaluation of policies by PROTEUS's protocol, on held-out rows of several random splits.

    Parameters
    ----------
    name
        Name of the part in the report.
    data
        Names of the data sets.
    policies
        Policies to evaluate.
    splits
        Number of random splits.
    moving
        Whether to replay moving floors too, on the first split.
    rows
        Number of rows of the simulated data set. Default: its usual number.
    """

    name: str
    data: tuple[str, ...]
    policies: tuple[EvaluatedPolicy, ...]
    splits: int = 3
    moving: bool = True
    rows: int | None = None


def with_references(
    tested: Sequence[PolicyUnderTest], references: Sequence[str]
) -> list[PolicyUnderTest]:
    """Return the policies under test and the reference points that are not among them."""
    named = {policy.policy for policy in tested}
    return [*tested, *(PolicyUnderTest(name) for name in references if name not in named)]


Part = Floors | Budgets | Protocols


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A suite: the title of its report and its parts."""

    title: str
    parts: tuple[Part, ...]


def suite_folder() -> Path:
    """Return the folder of the suites that are part of Floorline."""
    packaged = Path(str(resources.files("floorline"))) / "suites"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "benchmarks" / "suites"


def load_suite(name: str) -> Suite:
    """Load a suite.

    Parameters
    ----------
    name
        Name of a suite of Floorline, path of a YAML file, or ``all`` for all suites of Floorline
        except ``smoke``.

    Raises
    ------
    InvalidInput
        If no suite has this name.
    DataError
        If the file is not a suite.
    """
    shipped = {path.stem: path for path in sorted(suite_folder().glob("*.yaml"))}
    if name == "all":
        parts = [load_suite(other).parts for other in shipped if other != "smoke"]
        return Suite("All suites", tuple(part for group in parts for part in group))
    path = shipped.get(name, Path(name))
    if not path.is_file():
        known = ", ".join(["all", *shipped])
        near = did_you_mean(name, ["all", *shipped])
        fix = f"{near}choose one of {known}, or give a YAML file of your own"
        raise InvalidInput("--suite", name, fix)
    try:
        text = read_text(path)
        check_yaml(text)
        return msgspec.yaml.decode(text, type=Suite)
    except OSError as error:
        raise DataError(path, f"{error.strerror}: give a file that can be read") from error
    except UnicodeDecodeError as error:
        raise DataError(path, "not a text file in UTF-8") from error
    except TooLarge as error:
        raise DataError(path, f"not a suite: {error}") from error
    except msgspec.ValidationError as error:
        raise DataError(path, f"not a suite: {decoding_reason(error)}") from error
    except (msgspec.MsgspecError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DataError(path, f"not a suite: not readable as YAML{_line(error)}") from error


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1}: check indentation, colons and quotes"
