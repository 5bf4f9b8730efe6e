"""Bring a router's models and SLAs to the state that the settings ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from floorline.gateway.tenants import split_tenant, tenant_sla
from floorline.router import Router
from floorline.sla import SLA
from floorline.zoo import Zoo


@dataclass(frozen=True)
class DesiredState:
    """Models and SLAs that the settings ask for.

    Attributes
    ----------
    zoo, slas
        As a router takes them.
    per_tenant
        Names of the SLAs that each tenant has separately.
    """

    zoo: Zoo
    slas: Sequence[SLA]
    per_tenant: frozenset[str] = frozenset()


def reconcile(router: Router, desired: DesiredState, *, at: float) -> None:
    """Append the changes that lead from a router's models and SLAs to the desired ones.

    The order keeps every state between valid: models are added first, then SLAs are changed, then
    models are removed, because an SLA may only name models that exist.

    Parameters
    ----------
    router
        Changed in place; nothing is appended if nothing differs.
    desired
        Models and SLAs to reach.
    at
        Unix time of the changes in seconds.
    """
    leaving = [m for m in router.zoo.models if m.name not in desired.zoo]
    both = Zoo([*desired.zoo.models, *leaving], router.zoo.cost_unit) if leaving else desired.zoo
    if router.zoo != both:
        router.change_zoo(both, at=at)
    _reconcile_slas(router, desired, at)
    if router.zoo != desired.zoo:
        router.change_zoo(desired.zoo, at=at)


def _reconcile_slas(router: Router, desired: DesiredState, at: float) -> None:
    wanted = {sla.name: sla for sla in desired.slas}
    for name, sla in wanted.items():
        if router.slas.get(name) != sla:
            router.set_sla(sla, at=at)
    for name, current in list(router.slas.items()):
        if name in wanted:
            continue
        base, tenant = split_tenant(name)
        if tenant and base in wanted and base in desired.per_tenant:
            own = tenant_sla(wanted[base], tenant)
            if current != own:
                router.set_sla(own, at=at)
        else:
            router.remove_sla(name, at=at)
