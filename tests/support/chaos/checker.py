"""What must hold in the end, by the log and by what clients were told."""

import collections
import subprocess
import sys
from typing import Any, NamedTuple

import sqlalchemy as sa

from floorline.config import load
from floorline.encoders.factory import make_encoder
from floorline.events import INTERRUPTED, Decision, Feedback, Outcome
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.startup import open_router
from floorline.replication.learner_store import LearnerStore
from floorline.replication.lease import Lease
from floorline.replication.tables import escrow, inbox, members, now, states
from floorline.sla import period_start
from floorline.state import router_snapshot
from floorline.stores.engine import open_engine
from floorline.stores.reading import LogReader

_ROUNDING = 1e-9
"""Relative difference between sums of the same costs in another order."""
_SHOWN = 5
"""Cases of a broken rule that are shown."""


class Rule(NamedTuple):
    """A rule, and what breaks it.

    Attributes
    ----------
    text
        What must hold.
    about
        How many cases there were, in words.
    broken
        Cases that break it.
    """

    text: str
    about: str
    broken: list[Any]

    def __str__(self):
        mark = f"BROKEN {len(self.broken)} times" if self.broken else "holds"
        cases = "".join(f"\n      {case}" for case in self.broken[:_SHOWN])
        return f"  {mark}: {self.text} ({self.about}){cases}"


_LIVE_SECONDS = 10.0
"""Largest age of the last sign of life of a server that runs."""


class Waiting(NamedTuple):
    """What is not settled: events in the inbox, and servers that are gone and not closed yet."""

    events: int
    gone: int


def waiting(engine):
    """Return what is not settled yet."""
    age = now(engine) - members.c.seen
    events = sa.select(sa.func.count()).select_from(inbox)
    gone = sa.select(sa.func.count()).where(age > _LIVE_SECONDS)
    with engine.connect() as connection:
        return Waiting(connection.scalar(events), connection.scalar(gone))


def check_log(engine, journal, killed):
    """Yield the rules about the log.

    Parameters
    ----------
    engine
        Engine of the store.
    journal
        What clients were told.
    killed
        Whether a process was killed in the run.
    """
    log = list(LogReader(engine).read())
    decisions, outcomes, labels = {}, collections.Counter(), collections.Counter()
    reasons = collections.defaultdict(list)
    early, twice = [], []
    for event in log:
        if isinstance(event, Decision):
            if event.id in decisions:
                twice.append(event.id)
            decisions[event.id] = event
        elif isinstance(event, Outcome | Feedback) and event.decision not in decisions:
            early.append(event)
        if isinstance(event, Outcome):
            outcomes[event.decision, event.model] += 1
            reasons[event.decision].append(event.error)
        elif isinstance(event, Feedback):
            labels[event.decision, event.score] += 1
    yield Rule(
        "every acknowledged feedback is in the log exactly once",
        f"{len(journal.acknowledged)} acknowledged",
        [(one, labels[one]) for one in journal.acknowledged if labels[one] != 1],
    )
    sent = {(name, score) for name, scores in journal.sent.items() for score in scores}
    yield Rule(
        "no other feedback is in the log twice, and none that no one sent",
        f"{sum(labels.values())} in the log",
        [(one, count) for one, count in labels.items() if count > 1 or one not in sent],
    )
    yield Rule(
        "every answer has its decision in the log",
        f"{len(journal.answered)} answers",
        [
            (name, model)
            for name, model in journal.answered.items()
            if name not in decisions or decisions[name].model != model
        ],
    )
    yield Rule(
        "no decision is in the log twice, and none comes after its outcome or its label",
        f"{len(decisions)} decisions",
        [*twice, *early],
    )
    numbers = [decision.seq for decision in decisions.values()]
    yield Rule(
        "decisions are numbered in the order of the log",
        f"1 to {len(numbers)}",
        [] if numbers == list(range(1, len(numbers) + 1)) else ["they are not"],
    )
    calls = [(d.id, model) for d in decisions.values() for model in d.called]
    yield Rule(
        "every decision has one outcome for each of its calls",
        f"{len(calls)} calls",
        [(call, outcomes[call]) for call in calls if outcomes[call] != 1],
    )
    stated = collections.Counter(
        error for name in journal.whole for error in reasons[name] if error is not None
    )
    yield Rule(
        "the outcome of a whole answer is without an error, or says that its server was killed",
        f"{len(journal.whole)} whole answers, {stated[INTERRUPTED]} whose server was killed before "
        "it wrote the outcome",
        [(e, n) for e, n in stated.items() if e != INTERRUPTED or not killed],
    )


def check_budgets(engine, slas):
    """Yield the rules about budgets; ``slas`` are those of the settings."""
    spent, worst = collections.Counter(), collections.Counter()
    decisions = {}
    for event in LogReader(engine).read():
        if isinstance(event, Decision):
            decisions[event.id] = event
        elif isinstance(event, Outcome):
            decision = decisions[event.decision]
            sla = slas.get(decision.sla)
            if sla is None or sla.budget is None or sla.budget.total is None:
                continue
            period = decision.sla, period_start(sla.budget.period, decision.at)
            spent[period] += event.cost
            # A call that no one measured cost at most what was reserved for it.
            reserved = decision.reservations[event.model]
            worst[period] += reserved if event.error == INTERRUPTED else event.cost
    total = {name: sla.budget.total for name, sla in slas.items() if sla.budget is not None}
    used = max((cost / total[name] for (name, _), cost in spent.items()), default=0.0)
    most = max((cost / total[name] for (name, _), cost in worst.items()), default=0.0)
    full = sum(cost > 0.9 * total[name] for (name, _), cost in spent.items())
    yield Rule(
        "no budget is exceeded in any period",
        f"{len(spent)} periods, {full} of them used above 90 %, the fullest {used:.1%}; "
        f"{most:.1%} if each interrupted call cost all that was reserved",
        [
            (period, cost, total[period[0]])
            for period, cost in spent.items()
            if cost > total[period[0]] * (1 + _ROUNDING)
        ],
    )
    with engine.connect() as connection:
        granted = connection.execute(sa.select(escrow)).all()
    amounts = {f"sla:{name}": amount for name, amount in total.items()}
    yield Rule(
        "the shares of an account are together no more than its budget",
        f"{len(granted)} accounts and periods",
        [
            tuple(row)
            for row in granted
            if row.granted > amounts.get(row.account, 0.0) * (1 + _ROUNDING)
        ],
    )


class _WithoutSnapshots(LearnerStore):
    def snapshots(self):
        return []


def check_state(path, url, version):
    """Yield the rules about the published state: it is the fold of the log, and no call is open.

    Parameters
    ----------
    path
        File of the settings.
    url
        URL of the store, of which no learner runs any more.
    version
        Added to the version of snapshots by the last learner.
    """
    engine = open_engine(url)
    lease = Lease(engine, "checker", seconds=600.0)
    assert lease.take(), "no learner may run any more"
    with engine.connect() as connection:
        published = connection.execute(sa.select(states)).one()
    settings = load(path)
    router_snapshot._VERSION += version
    store = _WithoutSnapshots(url, lease)
    try:
        end = len(store)
        router = open_router(
            store,
            RuntimeModels(store).desired_state(settings),
            settings.policy.build,
            make_encoder(settings.encoder),
            seed=settings.seed,
            memory=settings.memory,
            at=0.0,
        )
        folded = router.snapshot(records=False)
        open_calls = [record.decision.id for record in router.open_calls()]
    finally:
        store.close()
        engine.dispose()
        router_snapshot._VERSION -= version
    broken = []
    if published.position != end or len(store) != end:
        broken.append(f"it has {published.position} events, the log {end}")
    elif bytes(published.body) != folded:
        broken.append("its bytes differ")
    yield Rule(
        "the published state is the fold of the log, byte by byte",
        f"{end} events, {len(folded) / 1e6:.1f} MB, epoch {published.epoch}",
        broken,
    )
    yield Rule("no call stays open", "after the end", open_calls)


def check_store(url):
    """Return the rule that ``floorline store verify`` finds no damage."""
    command = [sys.executable, "-m", "floorline", "store", "verify", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [done.stdout[-1000:] + done.stderr[-1000:]] if done.returncode else []
    return Rule("'floorline store verify' finds the store whole", f"exit {done.returncode}", lines)
