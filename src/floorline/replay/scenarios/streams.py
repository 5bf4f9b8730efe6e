"""Streams in which something happens: prices, quality, models, demand and prompts that change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput, check_number, check_one_of
from floorline.policies import History
from floorline.replay.data import ReplayData
from floorline.replay.run import Watch, history_of, replay
from floorline.replay.spec import Run, Spec, Timeline
from floorline.sla import SLA, Budget
from floorline.zoo import Zoo

Floats = NDArray[np.float64]


class ScenarioStream(NamedTuple):
    """A stream whose rows are in the order in which they come, as they are when they come.

    ``changes`` are the steps at which something changes, ``model`` the one that it happens to.
    ``rest`` holds rows that are not in the stream, as they were before any change.
    """

    data: ReplayData
    timeline: Timeline
    rest: ReplayData
    changes: tuple[int, ...] = ()
    model: str = ""

    @property
    def regimes(self) -> list[tuple[int, int]]:
        """First step of every stretch between changes, and that of the next."""
        bounds = [0, *self.changes, self.data.rows]
        return list(pairwise(bounds))

    def zoo_at(self, step: int) -> Zoo:
        """Models that can serve at a step."""
        at = max((s for s in self.timeline.zoos if s <= step), default=None)
        return self.data.zoo if at is None else self.timeline.zoos[at]

    def only(self, sla: str) -> ScenarioStream:
        """The requests of one SLA, on a router of its own."""
        rows = np.array([n for n, name in enumerate(self.timeline.sla) if name == sla])
        if self.changes or self.timeline.zoos or len(rows) == 0:
            raise InvalidInput("sla", sla, "name one with requests, of a scene without changes")
        slas = tuple(promise for promise in self.timeline.slas if promise.name == sla)
        return self._replace(data=self.data.take(rows), timeline=Timeline(slas))

    def history(self, rows: int) -> History:
        """Labelled requests from before, disjoint from the stream, to the models of its start."""
        past = history_of(self.rest, np.arange(min(rows, self.rest.rows)))
        able = [name in self.zoo_at(0) for name in self.data.zoo.names]
        return past._replace(quality=past.quality[:, able], cost=past.cost[:, able])


def replay_scenario(
    scene: ScenarioStream,
    policy: str,
    *,
    seed: int,
    feedback: str = "served",
    past: History | None = None,
    watch: Watch | None = None,
    **parameters: Any,
) -> Run:
    """Replay a policy over a scene."""
    floor = scene.timeline.slas[0].floor
    spec = Spec(policy, floor, feedback, seed, parameters, ordered=True)
    return replay(scene.data, spec, past=past, timeline=scene.timeline, watch=watch)


def steady(data: ReplayData, *, floor: float, requests: int, seed: int) -> ScenarioStream:
    """Rows in an order drawn by the seed; nothing happens."""
    check_number("requests", requests, low=1, high=data.rows, fix=f"give 1 to {data.rows}")
    rows = np.random.default_rng([seed, 0]).permutation(data.rows)
    slas = (SLA("stream", floor=floor),)
    return ScenarioStream(data.take(rows[:requests]), Timeline(slas), data.take(rows[requests:]))


def price_change(scene: ScenarioStream, model: str, factor: float, at: int) -> ScenarioStream:
    """Let a model cost ``factor`` times as much from a step on, as its list price says at once."""
    old = scene.data.zoo.models[scene.data.zoo.index(model)]
    names = ("input_price", "output_price", "call_price")
    new = msgspec.structs.replace(old, **{name: factor * getattr(old, name) for name in names})
    zoo = scene.data.zoo.with_model(new)
    cost = scene.data.cost.copy()
    cost[at:, zoo.index(model)] *= factor
    return scene._replace(
        data=scene.data._replace(cost=cost),
        timeline=scene.timeline._replace(zoos={at: zoo}),
        changes=(at,),
        model=model,
    )


def quality_change(
    scene: ScenarioStream,
    model: str,
    share: float,
    at: int,
    *,
    until: int | None = None,
    slide: bool = False,
    seed: int = 0,
) -> ScenarioStream:
    """Let a model serve better or worse from a step on, which nobody is told.

    Of what satisfied before, a ``share`` (below 0) does so no more; of what did not, a ``share``
    (above 0) does. With ``slide`` it grows to that evenly over the rest of the stream, with
    ``until`` all is as before from that step on.
    """
    check_number("share", share, low=-1.0, high=1.0, fix="give a share from -1 to 1")
    quality = scene.data.quality.copy()
    column = quality[:, scene.data.zoo.index(model)]
    end = len(column) if until is None else until
    grown = np.linspace(0.0, 1.0, end - at) if slide else np.ones(end - at)
    # Drawn for every row, so that another share changes the same ones first.
    drawn = np.random.default_rng([seed, 3]).random(len(column))[at:end] < abs(share) * grown
    part = column[at:end]
    column[at:end] = np.where(drawn, float(share > 0), part)
    changes = (at,) if until is None else (at, until)
    return scene._replace(data=scene.data._replace(quality=quality), changes=changes, model=model)


def joins(scene: ScenarioStream, model: str, at: int) -> ScenarioStream:
    """Let a model serve only from a step on."""
    zoos = {0: scene.data.zoo.without(model), at: scene.data.zoo}
    return scene._replace(timeline=scene.timeline._replace(zoos=zoos), changes=(at,), model=model)


def leaves(scene: ScenarioStream, model: str, at: int) -> ScenarioStream:
    """Let a model serve no more from a step on."""
    zoos = {at: scene.data.zoo.without(model)}
    return scene._replace(timeline=scene.timeline._replace(zoos=zoos), changes=(at,), model=model)


def _even(moment: Floats, periods: int) -> Floats:
    return np.ones_like(moment)


def _daily(moment: Floats, periods: int) -> Floats:
    return 1.0 + 0.9 * np.sin(2.0 * np.pi * moment)


def _bursts(moment: Floats, periods: int) -> Floats:
    return np.where((moment % 1.0 >= 0.6) & (moment % 1.0 < 0.7), 9.0, 1.0)


def _falling(moment: Floats, periods: int) -> Floats:
    return np.where(moment < periods / 2, 1.0, 1.0 / 3.0)


DEMAND: dict[str, Callable[[Floats, int], Floats]] = {
    "even": _even,
    "daily": _daily,
    "bursts": _bursts,
    "falls": _falling,
}
"""How dense requests are over time, in periods: even; a wave per period that swings by 90 %;
half of each period's requests in a tenth of it; a third as many from the middle of the stream on.
"""


def budgeted(
    scene: ScenarioStream, *, demand: str, periods: int, budget: Budget, floor: float, seed: int
) -> ScenarioStream:
    """Put a stream under a budget that every period renews; demand over time is uneven.

    ``budget`` holds per period; its own ``period`` is taken to be one second.
    """
    check_one_of("demand", demand, DEMAND)
    grid = np.linspace(0.0, periods, 1000 * periods + 1)
    density = DEMAND[demand](0.5 * (grid[:-1] + grid[1:]), periods)
    reached = np.concatenate([[0.0], np.cumsum(density)]) / density.sum()
    drawn = np.sort(np.random.default_rng([seed, 4]).random(scene.data.rows))
    times = np.minimum(np.interp(drawn, reached, grid), np.nextafter(periods, 0.0))
    renewed = msgspec.structs.replace(budget, period=1.0)
    sla = SLA("stream", floor=floor, budget=renewed)
    timeline = Timeline((sla,), at=tuple(times.tolist()))
    return scene._replace(timeline=timeline)


def shared(
    scene: ScenarioStream,
    slas: Sequence[SLA],
    shares: Sequence[float],
    *,
    seed: int,
    harder: str = "",
) -> ScenarioStream:
    """Divide a stream among several SLAs of one router, at random in these shares.

    All requests of the SLA ``harder``, if one is named, come from the half of the rows that fewer
    models satisfy; its share is at most a half.
    """
    weights = np.asarray(shares, dtype=np.float64)
    if len(slas) != len(weights) or not np.isclose(weights.sum(), 1.0):
        raise InvalidInput("shares", list(shares), "give one for each SLA, 1 in all")
    names = [sla.name for sla in slas]
    rng = np.random.default_rng([seed, 6])
    chance = np.tile(weights, (scene.data.rows, 1))
    if harder:
        check_one_of("harder", harder, names)
        own = names.index(harder)
        check_number("shares", weights[own], low=0.0, high=0.5, fix="give the harder one up to 0.5")
        mean = np.nanmean(scene.data.quality, axis=1)
        # Many rows tie; by their order, early ones would be harder than late ones.
        order = np.lexsort((rng.random(len(mean)), mean))
        hard = np.argsort(order) < len(mean) / 2
        chance[:, own] = np.where(hard, 2.0 * weights[own], 0.0)
        rest = (1.0 - chance[:, own]) / (1.0 - weights[own])
        others = np.arange(len(names)) != own
        chance[:, others] *= rest[:, None]
    drawn = rng.random(len(chance))
    index = (drawn[:, None] >= chance.cumsum(axis=1)).sum(axis=1)
    asked = tuple(names[min(n, len(names) - 1)] for n in index.tolist())
    return scene._replace(timeline=Timeline(tuple(slas), sla=asked))


def useless_prompts(scene: ScenarioStream, *, seed: int) -> ScenarioStream:
    """Give every request the features of another one, those from before too."""
    rng = np.random.default_rng([seed, 5])
    data, rest = (
        part._replace(features=part.features[rng.permutation(part.rows)])
        for part in (scene.data, scene.rest)
    )
    return scene._replace(data=data, rest=rest)


def misleading_prompts(scene: ScenarioStream, at: int) -> ScenarioStream:
    """Turn features round from a step on: what was learned of them then says the opposite."""
    features = scene.data.features.copy()
    features[at:] *= -1.0
    return scene._replace(data=scene.data._replace(features=features), changes=(at,))
