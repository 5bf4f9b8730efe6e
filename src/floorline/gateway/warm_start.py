"""The setting ``history``: labelled requests that the policy learns at the start, once."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.config.sections import OWN_LOG
from floorline.core.features import Features, is_empty
from floorline.errors import DataError
from floorline.events import DIRECT, Decision, Event, Feedback, Outcome, Recall
from floorline.policies import History
from floorline.policies.offline_policy import HistoryPolicy
from floorline.router import Router
from floorline.state.senders import sender_of
from floorline.stores.reading import LogReader

log = logging.getLogger("floorline.gateway")

_MAX_ROWS = 50_000
"""Most requests of the log that are learned at a start: the latest ones. With 1,024 features each
takes 4 kB, so that these take 200 MB, and 1.7 GB while they are packed, logged and learned
(``benchmarks/bench_streaming.py``)."""


class LabelledRequests(NamedTuple):
    """A history, and the names of the models of its columns."""

    history: History
    models: tuple[str, ...]


def warm_start(router: Router, store: LogReader, history: str | None, *, at: float) -> bool:
    """Let the policy learn the history that the settings name, if it has not learned it yet.

    Parameters
    ----------
    router
        Router at the end of its log.
    store
        The log.
    history
        Path of a routing table, ``"log"``, or None.
    at
        Unix time in seconds.

    Returns
    -------
    bool
        Whether something was learned.

    Raises
    ------
    FloorlineError
        If the file cannot be read, or has another cost unit or no model of the zoo.
    """
    if history is None:
        return False
    if history == OWN_LOG:
        return _learn_log(router, store, at)
    return _learn_file(router, store, Path(history), at)


def _learn_file(router: Router, store: LogReader, path: Path, at: float) -> bool:
    try:
        with path.open("rb") as stream:
            source = f"{path.name} sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    except OSError as error:
        raise DataError(path, f"history cannot be read ({error.strerror})") from error
    # Encoding takes minutes for a large file: a file that the log has is not read again.
    if any(event.source == source for _, event in store.warm_starts()):
        return False
    from floorline.datasets import load
    from floorline.replay.data import prepare
    from floorline.replay.run import history_of

    table = load(str(path))
    if table.cost_unit != router.zoo.cost_unit:
        raise DataError(
            path,
            f"its costs are in {table.cost_unit}, those of the settings in "
            f"{router.zoo.cost_unit}: give a history in the same cost_unit",
        )
    if not set(table.models) & set(router.zoo.names):
        raise DataError(
            path,
            f"it has no model of the settings: name its models ({', '.join(table.models)}) as "
            f"these are named ({', '.join(router.zoo.names)})",
        )
    data = prepare(table, router.encoder)
    return _learn(router, LabelledRequests(history_of(data), table.models), source, at)


def _learn_log(router: Router, store: LogReader, at: float) -> bool:
    if not isinstance(router.policy, HistoryPolicy):
        log.info(
            "history: log adds nothing: policy %r learns the labels of the log as they come",
            router.policy.name,
        )
        return False
    learned = [position for position, event in store.warm_starts() if event.source == OWN_LOG]
    start = learned[-1] + 1 if learned else 0
    decisions = store.labelled(start, _MAX_ROWS)
    labelled = labelled_requests(store.events_of(decisions))
    return bool(labelled.models) and _learn(router, labelled, OWN_LOG, at)


def _learn(router: Router, labelled: LabelledRequests, source: str, at: float) -> bool:
    learned = router.warm_start(labelled.history, models=labelled.models, source=source, at=at)
    if learned:
        log.info("learned %d labelled requests of %s", len(labelled.history.features), source)
    return learned


def labelled_requests(events: list[Event]) -> LabelledRequests:
    """Collect decisions, latest labels and real costs from events in the order of the log.

    A decision without its event, because that was deleted, is left out, and so is a call of a model
    that its client named and whose prompt was not encoded. A history has no weights:
    of labels that the router did not count in full (``Feedback.influence``), as many are taken as
    they weighed together, of each sender.
    """
    decisions: dict[str, Decision] = {}
    scores: dict[str, dict[str, float]] = {}
    costs: dict[str, dict[str, float]] = {}
    taken: dict[tuple[str, str], bool] = {}
    owed: dict[str, float] = {}
    for event in events:
        if isinstance(event, Decision):
            decisions[event.id] = event
        elif isinstance(event, Recall):
            decisions[event.decision.id] = event.decision
        elif isinstance(event, Feedback):
            label = event.decision, event.model
            if label not in taken:
                made = decisions.get(event.decision)
                sender = "" if made is None else sender_of(made)
                owed[sender] = owed.get(sender, 0.0) + event.influence
                # Sums of weights of 1 and less end in rounding errors.
                taken[label] = owed[sender] >= 1.0 - 1e-9
                owed[sender] -= taken[label]
            if taken[label]:
                scores.setdefault(event.decision, {})[event.model] = float(event.score)
        elif isinstance(event, Outcome) and event.error is None:
            # The first outcome of a call counts, as in the router.
            costs.setdefault(event.decision, {}).setdefault(event.model, event.cost)
    chosen = [
        decision
        for decision in decisions.values()
        if decision.id in scores and not (decision.policy == DIRECT and is_empty(decision.features))
    ]
    names = tuple(dict.fromkeys(name for decision in chosen for name in decision.models))
    features: list[Features] = [decision.features for decision in chosen]
    return LabelledRequests(
        History(
            features=features,
            quality=_matrix([scores[decision.id] for decision in chosen], names),
            cost=_matrix([costs.get(decision.id, {}) for decision in chosen], names),
            input_tokens=np.array([decision.input_tokens for decision in chosen], dtype=np.int64),
        ),
        names,
    )


def _matrix(rows: list[dict[str, float]], names: tuple[str, ...]) -> NDArray[np.float64]:
    """(N, M) values by name; NaN where there is none."""
    return np.array([[row.get(name, np.nan) for name in names] for row in rows])
