"""Build a gateway: the router at the state of its log, then the parts around it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from floorline.config import Settings
from floorline.core.snapshots import pack, unpack
from floorline.encoders.base import Encoder
from floorline.encoders.factory import make_encoder
from floorline.errors import FloorlineError
from floorline.events import SlaChange, ZooChange, decode_event, encode_event
from floorline.gateway.active_config import ActiveConfig
from floorline.gateway.admission import AdmissionControl
from floorline.gateway.auth import Auth
from floorline.gateway.background import BackgroundTasks, SnapshotWriter
from floorline.gateway.body_memory import BodyMemory
from floorline.gateway.bridges.message_aliases import MessageAliases
from floorline.gateway.call_recorder import CallRecorder, close_interrupted
from floorline.gateway.clock import Clock
from floorline.gateway.dashboard.history import History
from floorline.gateway.decision_lookup import DecisionLookup
from floorline.gateway.explanations import Explanations
from floorline.gateway.judging.internal_calls import InternalCalls
from floorline.gateway.judging.judging import Judging
from floorline.gateway.judging.recording import JudgementRecorder
from floorline.gateway.observability.collectors import CallbackCollector, judging_metrics
from floorline.gateway.observability.metrics import Metrics
from floorline.gateway.observability.spans import Telemetry, make_telemetry
from floorline.gateway.price_changes import price_changes, price_warnings
from floorline.gateway.readiness import Readiness
from floorline.gateway.reconcile import DesiredState, reconcile
from floorline.gateway.reload import Reloader
from floorline.gateway.replicas.breaker_hints import BREAKERS, MODELS, BreakerHints
from floorline.gateway.replicas.following import StateFollower
from floorline.gateway.replicas.key_shares import KeyShares
from floorline.gateway.replicas.overview import ReplicaOverview
from floorline.gateway.replicas.refilling import ShareKeeper
from floorline.gateway.replicas.serving import (
    TailedHistory,
    follower_of,
    keeper_of,
    key_shares_of,
    open_replica_router,
)
from floorline.gateway.replicas.session_recall import SessionRecall
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.service import ChatService
from floorline.gateway.upstreams import Upstreams
from floorline.gateway.usage_check import UsageCheck
from floorline.gateway.warm_start import warm_start
from floorline.policies import Policy
from floorline.replication.replica_store import ReplicaStore
from floorline.router import Router
from floorline.stores.message_ids import MessageIdStore
from floorline.stores.queued import QueuedStore
from floorline.stores.recovery import recover
from floorline.stores.sql import SqlStore

log = logging.getLogger("floorline.gateway")


@dataclass(frozen=True)
class Gateway:
    """The parts of a gateway, each with one task; ``build_gateway`` makes them.

    Attributes
    ----------
    config
        Settings in force.
    router, store, upstreams
        Decides; keeps the event log; calls the providers.
    auth, admission
        Who may send requests; how many requests are served at a time.
    bodies
        Memory of the bodies of requests.
    chat, recorder, decisions
        The path of a chat request; what calls took; decisions for late feedback.
    explanations
        Why decisions were made.
    readiness, metrics, telemetry
        What operators see.
    snapshots, follower, keeper
        Snapshots of the state; where there are several replicas, what takes over the learner's
        states and what keeps shares of budgets filled. None where they are not.
    background
        Tasks beside the requests.
    reloader
        Watches the configuration file; None if no file is watched.
    history
        What the dashboard shows over time.
    replicas
        What is shown of all servers and the learner; None where this server is alone.
    judging
        Judges, rules and shadow calls.
    aliases
        Ids of messages and traces that bridges know decisions by.
    """

    config: ActiveConfig
    router: Router
    store: QueuedStore
    upstreams: Upstreams
    auth: Auth
    admission: AdmissionControl
    bodies: BodyMemory
    chat: ChatService
    recorder: CallRecorder
    decisions: DecisionLookup
    explanations: Explanations
    readiness: Readiness
    metrics: Metrics
    telemetry: Telemetry
    snapshots: SnapshotWriter | None
    follower: StateFollower | None
    keeper: ShareKeeper | None
    background: BackgroundTasks
    reloader: Reloader | None
    history: History
    replicas: ReplicaOverview | None
    judging: Judging
    aliases: MessageAliases


def build_gateway(
    settings: Settings,
    path: Path | None,
    store: SqlStore | ReplicaStore,
    *,
    clock: Clock | None = None,
) -> Gateway:
    """Build the parts of a gateway; nothing is called and no task runs yet.

    Parameters
    ----------
    settings
        What to serve.
    path
        File of the settings, to be watched for changes; None watches no file.
    store
        Where the event log is kept.
    clock
        Gives the times of events; by default a new one.

    Raises
    ------
    FloorlineError
        If the log cannot be folded, or the settings contradict the log or each other.
    """
    clock = Clock() if clock is None else clock
    models = RuntimeModels(store)
    desired = models.desired_state(settings)
    router: Router
    follower: StateFollower | None = None
    keeper: ShareKeeper | None = None
    shared: KeyShares | None = None
    sessions: SessionRecall | None = None
    snapshots: SnapshotWriter | None = None
    if isinstance(store, ReplicaStore):
        router = open_replica_router(settings, store, desired, clock)
        follower = follower_of(settings, router, store, desired)
        keeper = keeper_of(router, store, follower)
        shared = key_shares_of(router, follower)
        sessions = SessionRecall(router, store)
        history: History = TailedHistory(router, store, clock=clock)
    else:
        router = open_router(
            store,
            desired,
            settings.policy.build,
            make_encoder(settings.encoder),
            seed=settings.seed,
            memory=settings.memory,
            at=clock(),
            clock=clock,
        )
        if close_interrupted(router):
            store.flush()
        warm_start(router, store, settings.history, at=clock())
        snapshots = SnapshotWriter(router, store)
        history = History(router, store, clock=clock)
    upstreams = Upstreams(seed=settings.seed)
    hints: BreakerHints | None = None
    if follower is not None and isinstance(store, ReplicaStore):
        hints = BreakerHints(upstreams, store.replica)
        follower.publish(BREAKERS, hints.published)
        follower.publish(MODELS, lambda: len(router.zoo))
        follower.listen(hints.take)
    config = ActiveConfig(settings, models, router, upstreams, store)
    reloader = (
        None if path is None else Reloader(path, config.reload, settings, note=config.log_reload)
    )
    auth = Auth(
        None if settings.auth == "none" else store.keys.list(),
        store.costs,
        clock=clock,
        feedback_rate=lambda: config.settings.feedback.rate,
        shared=shared,
    )
    if keeper is not None and shared is not None:
        keeper.add(lambda: shared.accounts(auth.charged_keys))
    for record in router.open_calls():
        made = record.decision
        auth.hold(made.key, made.id, sum(record.reserved.values()))
    admission = AdmissionControl(lambda: config.settings.server.max_in_flight)
    bodies = BodyMemory(lambda: config.settings.server.body_memory)
    metrics = Metrics(
        settings.cost_unit,
        router=router,
        store=store,
        upstreams=upstreams,
        admission=admission,
        reloader=reloader,
        follower=follower,
        spooling=store.spooling if isinstance(store, ReplicaStore) else None,
    )
    telemetry = make_telemetry(settings.telemetry)
    usage_check = UsageCheck(metrics)
    readiness = Readiness(
        router,
        store,
        upstreams,
        reloader,
        models,
        usage_check,
        clock=clock,
        staleness=lambda: 0.0 if follower is None else follower.staleness,
        elsewhere=lambda: [] if hints is None else hints.warnings(),
    )
    decisions = DecisionLookup(router, store, lambda: config.settings.feedback.max_age, clock=clock)
    recorder = CallRecorder(router, auth, decisions, metrics, usage_check)
    chat = ChatService(
        config,
        router,
        store,
        upstreams,
        auth,
        recorder,
        metrics,
        telemetry,
        readiness,
        sessions,
    )
    judging = Judging(
        lambda: config.settings,
        router,
        InternalCalls(chat, recorder, config, router),
        auth,
        JudgementRecorder(router, decisions.restore),
    )
    metrics.registry.register(CallbackCollector(lambda: judging_metrics(judging.counts)))
    aliases = MessageAliases(
        lambda: config.settings.bridges,
        MessageIdStore(store.engine),
        lambda: config.settings.feedback.max_age,
        clock,
    )
    return Gateway(
        config=config,
        router=router,
        store=store,
        upstreams=upstreams,
        auth=auth,
        admission=admission,
        bodies=bodies,
        chat=chat,
        recorder=recorder,
        decisions=decisions,
        explanations=Explanations(router, store, decisions),
        readiness=readiness,
        metrics=metrics,
        telemetry=telemetry,
        snapshots=snapshots,
        background=BackgroundTasks(
            config,
            store,
            auth,
            snapshots,
            reloader,
            recorder,
            history,
            follower,
            keeper,
            judging,
            aliases,
            clock=clock,
        ),
        follower=follower,
        keeper=keeper,
        reloader=reloader,
        history=history,
        replicas=ReplicaOverview(store) if isinstance(store, ReplicaStore) else None,
        judging=judging,
        aliases=aliases,
    )


def open_router(
    store: SqlStore,
    desired: DesiredState,
    policy: Callable[[], Policy],
    encoder: Encoder,
    *,
    seed: int,
    memory: int,
    at: float,
    clock: Callable[[], float] = time.time,
) -> Router:
    """Build the router whose state is the fold over a store's log.

    A log begins with the models and SLAs of its first start, so that folding it needs no file that
    may have changed since. What the settings ask for now is then appended as changes. A snapshot
    of another policy is not used: the whole log is folded by the policy that is asked for.

    Parameters
    ----------
    store
        Holds the log, and takes the changes.
    desired
        Models and SLAs that the settings ask for now.
    policy
        Makes a new policy.
    encoder, seed, memory
        As for ``Router``; the log's encoder and seed must be the same.
    at
        Unix time of the changes in seconds.
    clock
        The router's clock, which returns the Unix time in seconds.

    Raises
    ------
    FloorlineError
        If the log belongs to another encoder or seed, or cannot be folded from its beginning.
    """
    first = _initial_state(store, desired, encoder.fingerprint, seed, at)

    def fresh() -> Router:
        return Router(
            first.zoo,
            policy(),
            first.slas,
            encoder=encoder,
            seed=seed,
            log=store,
            memory=memory,
            clock=clock,
        )

    router = recover(fresh, store)
    for change in price_changes(router.zoo, desired.zoo):
        log.warning("since the last start %s", change)
    for warning in price_warnings(desired.zoo):
        log.warning("%s", warning)
    reconcile(router, desired, at=at)
    return router


def _initial_state(
    store: SqlStore, desired: DesiredState, encoder: str, seed: int, at: float
) -> DesiredState:
    """Models and SLAs that a log begins with: the desired ones if the log is new."""
    written = store.initial_state()
    if written is None:
        written = pack(
            {
                "zoo": encode_event(ZooChange(zoo=desired.zoo, at=at)),
                "slas": [encode_event(SlaChange(sla=sla, at=at)) for sla in desired.slas],
                "encoder": encoder,
                "seed": seed,
            }
        )
        store.begin(written)
    first = unpack(written)
    for field, value in (("encoder", encoder), ("seed", seed)):
        if first[field] != value:
            raise FloorlineError(
                f"the log in store.url was written with {field} {first[field]!r}, but the settings "
                f"have {value!r}: set {field} back, or give another store.url"
            )
    zoo = decode_event(first["zoo"])
    slas = [decode_event(data) for data in first["slas"]]
    assert isinstance(zoo, ZooChange)
    return DesiredState(zoo.zoo, [change.sla for change in slas if isinstance(change, SlaChange)])
