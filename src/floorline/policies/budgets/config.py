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
    price_search_factor: Annotated[
        float,
        Constant(
            "1",
            "Factor around the last shared price within which the next one is searched.",
            _PACING,
            low=1.0,
        ),
    ] = 1.2
    price_search_halvings: Annotated[
        int,
        Constant("1", "Halvings of that range per step.", _PACING, low=1.0),
    ] = 4
    price_step_requests: Annotated[
        int,
        Constant(
            "requests",
            "Requests between steps of the prices.",
            "a step takes most of the time of pacing",
            low=1.0,
        ),
    ] = 2
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
        Constant("calls", "The same in calls, for small budgets.", _PACING, off=0.0),
    ] = 3.0
    forecast_bins: Annotated[
        int,
        Constant(
            "parts of a period",
            "Parts of a period whose shares of the requests are learned.",
            "half hours of a day",
            low=1.0,
        ),
    ] = 48
    forecast_prior_requests: Annotated[
        float,
        Constant(
            "requests",
            "Requests that an even profile counts for before any was seen.",
            _PACING,
            low=1e-6,
        ),
    ] = 24.0
    forecast_profile_decay: Annotated[
        float,
        Constant(
            "share",
            "Share of what is known of the profile that still counts a period later.",
            _PACING,
            high=1.0,
            off=1.0,
        ),
    ] = 0.6
    forecast_level_prior_requests: Annotated[
        float,
        Constant(
            "requests",
            "Requests by which the level of the last period counts beside this one's own.",
            _PACING,
            low=1e-6,
        ),
    ] = 20.0
    forecast_memory_share: Annotated[
        float,
        Constant(
            "share of a period's requests",
            "Requests after which earlier ones say little of the present level.",
            _PACING,
            low=1e-6,
        ),
    ] = 0.25
    forecast_caution_sds: Annotated[
        float,
        Constant(
            "standard deviations",
            "By how much too few requests are forecast: money left over cannot be spent later.",
            _PACING,
            off=0.0,
        ),
    ] = 1.0
