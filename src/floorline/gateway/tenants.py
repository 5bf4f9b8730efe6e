"""SLAs that each tenant has separately, under the name ``SLA@TENANT``."""

from __future__ import annotations

import msgspec

from floorline.sla import SLA

_SEPARATOR = "@"
"""No SLA in ``floorline.yaml`` may have it in its name, so the split is unambiguous."""


def tenant_sla(sla: SLA, tenant: str) -> SLA:
    """Return the same SLA for one tenant, with a queue, budget and certificate of its own."""
    return msgspec.structs.replace(sla, name=f"{sla.name}{_SEPARATOR}{tenant}")


def split_tenant(name: str) -> tuple[str, str]:
    """Split the name of an SLA into the name in ``floorline.yaml`` and the tenant.

    The tenant is "" for an SLA that all tenants share.

    Examples
    --------
    >>> split_tenant("gold@acme"), split_tenant("gold")
    (('gold', 'acme'), ('gold', ''))
    """
    name, _, tenant = name.partition(_SEPARATOR)
    return name, tenant
