"""Judges: what they say, how they differ from users, what they cost, and what they did not see."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from floorline.config.judging import RULES_JUDGE, JudgeSettings, RuleSettings
from floorline.events import SHADOW_KEY
from floorline.gateway.dashboard.dashboard import Dashboard, sees_everything
from floorline.gateway.dashboard.navigation import JUDGES
from floorline.gateway.errors import ApiError
from floorline.gateway.judging.overview import JudgesView, JudgingSpend, judges_view
from floorline.state.judge_calibration import Agreement
from floorline.state.judged_certificate import JudgedCertificate

_MOST_SLAS = 50
"""Most SLAs whose bounds are shown; with one per tenant there can be a thousand, each some
milliseconds."""


class JudgeRow(NamedTuple):
    """One judge on the page.

    Attributes
    ----------
    name
        Its name.
    settings
        Its section of the configuration; None if it has none, as the rules and a judge that was
        taken out.
    is_rules
        Whether it is the judge that all rules are together, and there are rules.
    agreement
        How it differs from users on all models; None before its first response.
    spend
        What its calls cost in the present period; None for rules.
    """

    name: str
    settings: JudgeSettings | None
    is_rules: bool
    agreement: Agreement | None
    spend: JudgingSpend | None


class SlaRow(NamedTuple):
    """What one judge says of one SLA."""

    sla: str
    floor: float
    made: JudgedCertificate


def routes(dashboard: Dashboard) -> list[Route]:
    """Return the routes of this page."""

    async def show(request: Request) -> Response:
        """Show the judges."""
        viewer = dashboard.viewer(request)
        if not sees_everything(viewer):
            text = "judges are shown to keys that see all tenants, SLAs and models"
            raise ApiError(403, text, code="missing_scope")
        gateway = dashboard.gateway
        view = judges_view(gateway.router, gateway.auth, gateway.judging)
        settings = gateway.config.settings
        names = list(gateway.router.slas)
        slas = await asyncio.to_thread(_by_sla, dashboard, names[:_MOST_SLAS])
        rows = _judges(view, settings.judges, settings.rules)
        return dashboard.page(
            request,
            "judges.html.jinja",
            JUDGES.title,
            judges=rows,
            models=[one for one in view.agreements if one.model],
            slas=slas,
            more=len(names) > _MOST_SLAS,
            rules=_rules(view, settings.rules),
            shadow=settings.shadow,
            shadow_spend=next((one for one in view.spending if one.key == SHADOW_KEY), None),
            shadow_counts=view.counts.get(SHADOW_KEY, {}),
            missed=sum(sum(one.missed.values()) for one in view.agreements),
            scored=sum(one.judged for one in view.agreements if not one.model),
            spent=sum(one.spent for one in view.spending if one.judge),
        )

    return [Route(JUDGES.path, show, methods=["GET"])]


def _judges(
    view: JudgesView, judges: list[JudgeSettings], rules: list[RuleSettings]
) -> list[JudgeRow]:
    """Rows of the judges that are configured, and of those that the log knows."""
    known = {one.judge: one for one in view.agreements if not one.model}
    settings = {judge.name: judge for judge in judges}
    spending = {one.judge: one for one in view.spending if one.judge}
    names = dict.fromkeys([*settings, *([RULES_JUDGE] if rules else []), *known])
    return [
        JudgeRow(
            name,
            settings.get(name),
            name == RULES_JUDGE and bool(rules),
            known.get(name),
            spending.get(name),
        )
        for name in names
    ]


def _rules(view: JudgesView, rules: list[RuleSettings]) -> list[tuple[RuleSettings, int]]:
    """Rules with how often each was broken since this server's start."""
    counts = view.counts.get(RULES_JUDGE, {})
    return [(rule, counts.get(rule.label, 0)) for rule in rules]


def _by_sla(dashboard: Dashboard, names: list[str]) -> list[SlaRow]:
    """What judges say of some SLAs; it takes a millisecond for each."""
    router = dashboard.gateway.router
    rows = []
    for name in names:
        sla = router.slas.get(name)
        if sla is not None:
            made = router.certificate(name).judged
            rows += [SlaRow(name, sla.floor, one) for one in made]
    return rows
