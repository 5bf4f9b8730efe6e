"""Status of an SLA as the owner of a key may see it."""

from __future__ import annotations

import msgspec

from floorline.gateway.auth import Caller
from floorline.gateway.tenants import split_tenant
from floorline.router import Router
from floorline.state.senders import sender_name
from floorline.state.status import Status


def visible_slas(router: Router, caller: Caller) -> list[str]:
    """Return the names of the SLAs that a caller may see.

    They are the shared ones and those of their tenant, as far as their key may name them; for
    administrators those of all tenants.
    """
    seen = []
    for name in router.slas:
        base, tenant = split_tenant(name)
        visible = tenant in ("", caller.tenant) or "admin" in caller.scopes
        if visible and caller.may_use(base):
            seen.append(name)
    return seen


def visible_status(router: Router, name: str, caller: Caller, *, all_senders: bool) -> Status:
    """Return the status of an SLA without what a caller may not see.

    Parameters
    ----------
    router
        Has the SLA.
    name
        Name of the SLA.
    caller
        Models that their key may not name are left out.
    all_senders
        Whether they may see who sends labels. A tenant sees what its own labels weigh, and nothing
        of other tenants.
    """
    found = router.status(name)
    rows = found.senders
    if not all_senders:
        own = router.label_sender(name, sender_name(caller.owner))
        rows = () if own is None else (own,)
    reach = found.reachability
    if reach is not None:
        models = tuple(row for row in reach.models if caller.may_call(row.model))
        reach = msgspec.structs.replace(reach, models=models)
    best = found.best_fixed
    return msgspec.structs.replace(
        found,
        senders=rows,
        best_fixed=best if best is None or caller.may_call(best) else None,
        missing_prices=tuple(name for name in found.missing_prices if caller.may_call(name)),
        references=tuple(
            msgspec.structs.replace(
                one, models={m: share for m, share in one.models.items() if caller.may_call(m)}
            )
            for one in found.references
        ),
        reachability=reach,
        latency=tuple(
            msgspec.structs.replace(
                promise, models=tuple(row for row in promise.models if caller.may_call(row.model))
            )
            for promise in found.latency
        ),
    )
