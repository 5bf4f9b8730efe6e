"""Every constant of the flagship: its unit, range, meaning and source."""

from __future__ import annotations

from typing import Annotated, Literal

from floorline.core.config import Constant
from floorline.errors import check_one_of
from floorline.policies.budgets.config import PacingConfig

Silence = Literal["auto", "unknown", "satisfied"]

_LOGS = "chosen on the MESS+ logs, seeds 10 to 26"
_CHANGES = "chosen on bench_scenarios.py drift, seeds 10 to 23"
_ZOOS = "chosen on 12 tables of 3 to 11 models, seeds 10 to 23"
_TUNED = "several constants became one; chosen on bench_constants.py, seeds 0 to 2"


class PrimalDualConfig(PacingConfig, frozen=True, kw_only=True):
    """Constants of ``PrimalDual``, those of its budgets included."""

    prompts: bool = True
    """Whether prompts may decide which model serves."""

    detect: bool = True
    """Whether changes of a model's quality are looked for."""

    silence: Silence = "auto"
    """What a missing label means: ``"unknown"``, ``"satisfied"`` (only complaints are reported), or
    ``"auto"``: satisfied if the first ``informative_labels`` labels are all complaints."""

    # How far estimates are trusted
    informative_labels: Annotated[
        float,
        Constant(
            "labels",
            "Labels at which a mean of labels says as much as what it is compared with: the prior "
            "mean, the mean over all SLAs, the mean before a change.",
            _TUNED,
            low=1.0,
        ),
    ] = 30.0
    memory_labels: Annotated[
        float,
        Constant(
            "labels",
            "Latest labels, or requests, by which predictions are judged; a model with as many "
            "since it changed or joined is known.",
            _TUNED,
            low=1.0,
        ),
    ] = 300.0
    significance_sds: Annotated[
        float,
        Constant(
            "standard errors",
            "Standard errors at which a difference counts as shown: that prompts tell models "
            "apart, that a model cannot reach the floor.",
            "5 % significance, two-sided",
        ),
    ] = 2.0
    keep_probability: Annotated[
        float,
        Constant(
            "probability",
            "With which the floor is to be kept at the horizon. The static mix keeps as much in "
            "hand as that takes: for responses without labels, and for what is corrected late.",
            "given by the user; docs/sparse.md has what it costs",
            low=0.5,
            high=0.9999,
            off=0.5,
        ),
    ] = 0.95

    # Exploration
    optimism_sds: Annotated[
        float,
        Constant(
            "standard deviations",
            "Standard deviations of a model's mean that count as possible improvement.",
            _LOGS,
            off=0.0,
        ),
    ] = 1.3
    risk_charge: Annotated[
        float,
        Constant(
            "1",
            "Share of the satisfaction that a trial is expected to lose that is charged to it, at "
            "the lowest price at which improvement can be had.",
            _ZOOS,
            off=0.0,
        ),
    ] = 0.3
    exploration_cost_share: Annotated[
        float,
        Constant(
            "share of a request's cost",
            "Most that is spent, in expectation, on calls of models with few labels, while the "
            "buffer is in hand.",
            _LOGS,
            high=1.0,
            off=0.0,
        ),
    ] = 0.02

    # Course of the surplus
    correction_requests: Annotated[
        float,
        Constant(
            "requests",
            "Requests, beside those so far, over which the static mix works off a shortfall.",
            _LOGS,
            low=1.0,
        ),
    ] = 3000.0
    price_horizon_requests: Annotated[
        int,
        Constant(
            "requests",
            "Latest requests that prices of prompts are read from, and the most over which these "
            "work off a shortfall.",
            _TUNED,
            low=1.0,
        ),
    ] = 1000
    target_surplus_sds: Annotated[
        float,
        Constant(
            "standard deviations of the surplus",
            "Surplus that prices of prompts aim at.",
            "2 sds: the floor is kept with probability .98 at any one request",
            off=0.0,
        ),
    ] = 2.0

    # Prices of prompts
    max_prompt_cost_factor: Annotated[
        float,
        Constant(
            "1",
            "Most, as a factor, that a prompt changes what calls of its length cost.",
            _LOGS,
            low=1.0,
            off=1.0,
        ),
    ] = 10.0
    price_grid_points: Annotated[
        int, Constant("prices", "Prices on the curve.", "eight per power of ten", low=2.0)
    ] = 81
    warm_start_held_out: Annotated[
        float,
        Constant(
            "share of the history",
            "Last part of a history, learned label by label, that shows what prompts tell.",
            _LOGS,
            high=1.0,
        ),
    ] = 0.2

    # Prior of the models' means
    prior_line_sd: Annotated[
        float,
        Constant(
            "label sds",
            "Prior standard deviation of what all models share, and of the gain with price.",
            _ZOOS,
            low=1e-3,
        ),
    ] = 0.15
    prior_price_gain: Annotated[
        float,
        Constant(
            "label sds",
            "Prior mean of how much better the most expensive model is than the cheapest.",
            _ZOOS,
            off=0.0,
        ),
    ] = 0.3
    model_deviation_sd: Annotated[
        float,
        Constant(
            "label sds",
            "Prior standard deviation of each model's mean from the line, until labels show it.",
            "models of mixed zoos lie about .1 off their line",
            low=1e-6,
        ),
    ] = 0.12
    family_share: Annotated[
        float,
        Constant(
            "share of a variance",
            "Share of the variance of that deviation that models with the same words in their "
            "names have in common; as much less as they have fewer words in common.",
            _ZOOS,
            high=1.0,
            off=0.0,
        ),
    ] = 0.5
    min_label_variance: Annotated[
        float,
        Constant(
            "squared satisfaction",
            "Least variance of a label: no estimate is so sure that one label refutes it.",
            _TUNED,
            low=1e-9,
        ),
    ] = 0.02

    # Changes of quality
    change_slack_sds: Annotated[
        float,
        Constant(
            "standard deviations of a label",
            "Change that the Page-Hinkley test passes over, beside the mean's standard error.",
            _CHANGES,
            off=0.0,
        ),
    ] = 0.2
    change_threshold_sds: Annotated[
        float,
        Constant(
            "standard deviations of a label",
            "Sum at which the Page-Hinkley test reports a change.",
            "exp(2·0.2·27)/(2·0.2²) = 600,000 labels between false reports",
            low=1.0,
            off=1e9,
        ),
    ] = 27.0

    changed_model_half_life: Annotated[
        float,
        Constant(
            "requests",
            "Requests after which a label of a model that changed or joined counts half, until the "
            "model is known: what changed once may change back.",
            _CHANGES,
            low=1.0,
            off=1e9,
        ),
    ] = 340.0

    # Complaints
    complaint_rate: Annotated[
        float,
        Constant(
            "share",
            "Assumed share of dissatisfied users who complain where silence means satisfied: "
            "complaints alone cannot tell it.",
            "given by the user",
            low=0.01,
            high=1.0,
        ),
    ] = 0.5

    def __post_init__(self) -> None:
        check_one_of("PrimalDualConfig.silence", self.silence, ("auto", "unknown", "satisfied"))
        super().__post_init__()
