"""Constants of pacing: how budgets are spread over the requests to come."""

from __future__ import annotations

from typing import Annotated

from floorline.core.config import Config, Constant

_PACING = "chosen on bench_pacing.py, seeds 20 to 23"


class PacingConfig(Config, frozen=True, kw_only=True):
    """Constants of ``Pacing`` and ``DemandForecast``."""

    horizon: Annotated[
        int,
        Constant(
            "requests",
            "Requests that a budget is for; under a renewed budget, those of the first period.",
            "given by the user; floors do not use it",
            low=1.0,
        ),
    ] = 1000
    budget_window_requests: Annotated[
        int,
        Constant(
            "requests",
            "Latest predictions on which prices of budgets are solved.",
            "time of a step grows with it; " + _PACING,
            low=1.0,
        ),
    ] = 500
    spending_lead_share: Annotated[
        float,
        Constant(
            "share of the budget",
            "How far spending may run ahead of an even pace when a period begins.",
            _PACING,
            high=1.0,
            off=1.0,
        ),
    ] = 0.05
    spending_lead_calls: Annotated[
        float,
        Constant(
            "calls",
            "The same in calls, so that a small budget is not withheld from its first requests.",
            "a budget of three calls may be spent at once",
            off=0.0,
        ),
    ] = 3.0
    forecast_prior_requests: Annotated[
        float,
        Constant(
            "requests",
            "Requests that an even profile of a period, and the level of the last period, are "
            "worth before any was seen.",
            _PACING,
            low=1e-6,
        ),
    ] = 20.0
    forecast_bins: Annotated[
        int,
        Constant(
            "parts of a period",
            "Parts of a period whose shares of the requests are learned.",
            "half hours of a day",
            low=1.0,
        ),
    ] = 48
    forecast_forgetting: Annotated[
        float,
        Constant(
            "share",
            "What is forgotten: of the profile per period, and of the level over this share of a "
            "period's requests.",
            "several constants became one; chosen on bench_constants.py, seeds 0 to 2",
            low=1e-6,
            high=1.0,
        ),
    ] = 0.25
