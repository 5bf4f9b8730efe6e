"""Opening a gateway's router: the state before the stop, then whatever the settings changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from floorline.core.snapshots import pack, unpack
from floorline.encoders.base import Encoder
from floorline.errors import FloorlineError, SnapshotMismatch
from floorline.events import SlaChange, ZooChange, decode_event, encode_event
from floorline.policies import Policy
from floorline.router import Router
from floorline.sla import SLA
from floorline.stores.recovery import recover
from floorline.stores.sql import SqlStore
from floorline.zoo import Zoo

_INITIAL_STATE = ("genesis", "router")
TENANT = "@"
"""Between an SLA's name and the tenant that has a queue and a certificate of its own."""


@dataclass(frozen=True)
class Promises:
    """Models and SLAs that the settings ask for; ``own`` names SLAs that each tenant has alone."""

    zoo: Zoo
    slas: Sequence[SLA]
    own: frozenset[str] = frozenset()


def open_router(
    store: SqlStore,
    wanted: Promises,
    policy: Callable[[], Policy],
    encoder: Encoder,
    *,
    seed: int,
    memory: int,
    at: float,
) -> Router:
    """Build the router that a store's log adds up to.

    A log begins with the models and SLAs of its first start, so that folding it needs no file that
    may have changed since. What the settings ask for now is then appended as changes. A snapshot
    by another policy is passed over: the log is folded anew under the policy that is wanted.

    Raises
    ------
    FloorlineError
        If the log belongs to another encoder or seed, or cannot be folded from its beginning.
    """
    first = _initial_state(store, wanted, encoder.fingerprint, seed, at)

    def fresh() -> Router:
        return Router(
            first.zoo, policy(), first.slas, encoder=encoder, seed=seed, log=store, memory=memory
        )

    router = fresh()
    try:
        recover(router, store)
    except SnapshotMismatch:
        if store.first() > 0:
            raise
        router = fresh()
        router.apply(store.read())
    reconcile(router, wanted, at=at)
    return router


def _initial_state(
    store: SqlStore, wanted: Promises, encoder: str, seed: int, at: float
) -> Promises:
    """Models and SLAs that a log begins with: the wanted ones if it is new."""
    written = store.documents(_INITIAL_STATE[0]).get(_INITIAL_STATE[1])
    if written is None:
        written = pack(
            {
                "zoo": encode_event(ZooChange(zoo=wanted.zoo, at=at)),
                "slas": [encode_event(SlaChange(sla=sla, at=at)) for sla in wanted.slas],
                "encoder": encoder,
                "seed": seed,
            }
        )
        store.put_document(*_INITIAL_STATE, written)
    first = unpack(written)
    for field, mine in (("encoder", encoder), ("seed", seed)):
        if first[field] != mine:
            raise FloorlineError(
                f"the store was begun with {field} {first[field]!r}, the settings say {mine!r}: "
                "set it back, or give a new store.url"
            )
    zoo = decode_event(first["zoo"])
    slas = [decode_event(data) for data in first["slas"]]
    assert isinstance(zoo, ZooChange)
    return Promises(zoo.zoo, [change.sla for change in slas if isinstance(change, SlaChange)])


def reconcile(router: Router, wanted: Promises, *, at: float) -> None:
    """Append what differs between a router's models and SLAs and the wanted ones."""
    if router.zoo != wanted.zoo:
        # An SLA that names a model must not outlive it, nor come before it.
        both = Zoo(
            [*wanted.zoo.models, *(m for m in router.zoo.models if m.name not in wanted.zoo)],
            router.zoo.cost_unit,
        )
        if len(both) > len(wanted.zoo):
            router.change_zoo(both, at=at)
    promised = {sla.name: sla for sla in wanted.slas}
    for name, sla in promised.items():
        if router.slas.get(name) != sla:
            router.set_sla(sla, at=at)
    for name in list(router.slas):
        base, at_sign, tenant = name.partition(TENANT)
        if name in promised:
            continue
        if at_sign and base in promised and base in wanted.own:
            own = tenant_sla(promised[base], tenant)
            if router.slas[name] != own:
                router.set_sla(own, at=at)
        else:
            router.remove_sla(name, at=at)
    if router.zoo != wanted.zoo:
        router.change_zoo(wanted.zoo, at=at)


def tenant_sla(sla: SLA, tenant: str) -> SLA:
    """Promise of the same to one tenant, with a queue and a certificate of its own."""
    return msgspec.structs.replace(sla, name=f"{sla.name}{TENANT}{tenant}")
