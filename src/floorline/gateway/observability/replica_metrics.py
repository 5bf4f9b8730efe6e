"""Metrics of one of several servers: the learner that it follows, and its spool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from floorline.replication.survey import Survey


class Following(Protocol):
    """What is read from a replica that follows a learner."""

    replicas: int
    seen: Survey

    @property
    def staleness(self) -> float:
        """Seconds since the learner was at work on the state that decides."""
        ...

    @property
    def learner_age(self) -> float:
        """Seconds since any learner was at work."""
        ...


class WaitingEvents(Protocol):
    """What is read from a spool.

    Attributes
    ----------
    events : int
        Number of events that wait for the database.
    size, max_bytes : int
        Bytes that they take, and that they may take.
    """

    events: int
    max_bytes: int

    @property
    def size(self) -> int:
        """Bytes of all files."""
        ...


class Spooling(Protocol):
    """What is read from a writer that has a spool."""

    @property
    def spool(self) -> WaitingEvents:
        """Where events wait while the database cannot be reached."""
        ...

    @property
    def spooling_seconds(self) -> float | None:
        """Seconds since events began to go to the spool; None if they go to the database."""
        ...


def replica_metrics(follower: Following) -> list[Metric]:
    """How old the state is that decides, and how many replicas serve."""
    return [
        GaugeMetricFamily(
            "floorline_state_age_seconds",
            "Seconds since the learner was at work on the state by which this replica decides.",
            value=follower.staleness,
        ),
        GaugeMetricFamily(
            "floorline_learner_age_seconds",
            "Seconds since a learner was at work, as far as this replica can see.",
            value=follower.learner_age,
        ),
        GaugeMetricFamily(
            "floorline_replicas",
            "Replicas that serve, as this one saw them last.",
            value=follower.replicas,
        ),
        GaugeMetricFamily(
            "floorline_inbox_events",
            "Events that wait for the learner, as this replica saw them last; at most 10,000.",
            value=follower.seen.inbox,
        ),
        GaugeMetricFamily(
            "floorline_damaged_events",
            "Events that were damaged before the learner read them and are lost, as this replica "
            "saw them last; at most 10,000. Their rows are kept in the table inbox_damaged.",
            value=follower.seen.damaged,
        ),
        GaugeMetricFamily(
            "floorline_lease_epoch",
            "Number of the learner's lease, as this replica saw it last; each learner has a higher "
            "one, and 0 stands for none so far.",
            value=0 if follower.seen.learner is None else follower.seen.learner.epoch,
        ),
    ]


def spool_metrics(spooling: Spooling) -> list[Metric]:
    """Whether events go to this replica's disk, and how many wait there."""
    spool = spooling.spool
    return [
        GaugeMetricFamily(
            "floorline_spool_seconds",
            "Seconds since events began to go to this replica's spool; 0 while they go to the "
            "database.",
            value=spooling.spooling_seconds or 0.0,
        ),
        GaugeMetricFamily(
            "floorline_spooled_events",
            "Events that wait in this replica's spool.",
            value=spool.events,
        ),
        GaugeMetricFamily(
            "floorline_spooled_bytes", "Bytes of the spool's files.", value=spool.size
        ),
        GaugeMetricFamily(
            "floorline_spool_max_bytes",
            "Largest size of the spool (replicas.spool.max); requests are refused above it.",
            value=spool.max_bytes,
        ),
    ]
