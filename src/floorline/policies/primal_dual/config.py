"""Every constant of the flagship: its unit, range, meaning and source."""

from __future__ import annotations

from typing import Annotated, Literal

from floorline.core.config import Constant
from floorline.errors import check_one_of
from floorline.policies.budgets.config import PacingConfig

Silence = Literal["auto", "unknown", "satisfied"]

_LOGS = "chosen on the MESS+ logs, seeds 10 to 26"
_CHANGES = "chosen on bench_scenarios.py drift, seeds 10 to 23"
_NUMERIC = "numerical resolution"


class PrimalDualConfig(PacingConfig, frozen=True, kw_only=True):
    """Constants of ``PrimalDual``, those of its budgets included."""

    prompts: bool = True
    """Whether prompts may decide which model serves."""

    detect: bool = True
    """Whether changes of a model's quality are looked for."""

    silence: Silence = "auto"
    """What a missing label means: ``"unknown"``, ``"satisfied"`` (only complaints are reported), or
    ``"auto"``: satisfied if the first ``complaints_to_detect`` labels are all complaints."""

    # Exploration and optimism
    optimism_sds: Annotated[
        float,
        Constant(
            "standard deviations",
            "Standard deviations of a model's mean that count as possible improvement.",
            _LOGS,
            off=0.0,
        ),
    ] = 1.3
    optimism_without_shortfall: Annotated[
        float,
        Constant("share", "Share of that optimism while nothing is short.", _LOGS, off=1.0),
    ] = 0.75
    half_optimism_label_rate: Annotated[
        float,
        Constant(
            "labels per request",
            "Label rate at which optimism is halved: with few labels, exploration costs more than "
            "it teaches.",
            _LOGS,
            off=0.0,
        ),
    ] = 0.04
    label_rate_prior_requests: Annotated[
        float,
        Constant(
            "requests",
            "Labelled requests that the label rate starts from.",
            _LOGS,
            low=1e-6,
        ),
    ] = 10.0
    elimination_sds: Annotated[
        float,
        Constant(
            "standard deviations",
            "Optimistic standard deviations below what is needed at which a model is eliminated.",
            _LOGS,
            off=1e9,
        ),
    ] = 3.0
    exploration_cost_share: Annotated[
        float,
        Constant(
            "share of a request's cost",
            "Most that is spent, in expectation, on calls of models with few labels.",
            _LOGS,
            high=1.0,
            off=0.0,
        ),
    ] = 0.02
    exploration_known_labels: Annotated[
        float,
        Constant("labels", "Labels at which exploration of a model is halved.", _LOGS, low=1e-6),
    ] = 10.0

    # Buffer and correction of the static mix
    correction_requests: Annotated[
        float,
        Constant(
            "requests",
            "Requests, beside those so far, over which the static mix works off a shortfall.",
            _LOGS,
            low=1.0,
        ),
    ] = 3000.0
    buffer_walks: Annotated[
        float,
        Constant(
            "mean depths of the random walk",
            "Surplus to keep: how far satisfaction sinks before the better model wins it back.",
            "v/2δ is the mean depth of a random walk with drift δ and variance v; " + _LOGS,
            off=0.0,
        ),
    ] = 4.0
    max_buffer_fraction: Annotated[
        float,
        Constant(
            "share of the drift gained",
            "Most of the surplus that could have been earned so far that the buffer takes.",
            _LOGS,
            off=1e9,
        ),
    ] = 0.5
    min_drift: Annotated[
        float,
        Constant("satisfaction", "Least advantage over the floor that is counted on.", _LOGS),
    ] = 0.003
    drift_sds: Annotated[
        float,
        Constant(
            "standard deviations",
            "The same, in standard deviations of the better model's mean.",
            _LOGS,
            off=0.0,
        ),
    ] = 0.5
    partner_optimism_sds: Annotated[
        float,
        Constant(
            "standard deviations",
            "Standard deviations by which the cheaper partner of the mix is overrated.",
            _LOGS,
            off=0.0,
        ),
    ] = 0.5
    margin_standard_errors: Annotated[
        float,
        Constant(
            "standard errors",
            "Standard errors of the surplus estimate to keep in hand.",
            _LOGS,
            off=0.0,
        ),
    ] = 1.5

    # Prices of prompts
    request_window: Annotated[
        int,
        Constant(
            "requests", "Latest requests that prices of prompts are read from.", _LOGS, low=1.0
        ),
    ] = 2000
    correction_horizon_requests: Annotated[
        float,
        Constant(
            "requests",
            "Requests over which prices of prompts work a shortfall off: cost is convex in what is "
            "asked for, so fast correction is expensive.",
            _LOGS,
            low=1.0,
        ),
    ] = 1000.0
    max_floor_correction: Annotated[
        float,
        Constant(
            "satisfaction",
            "Most that a shortfall or surplus moves the satisfaction that prices aim at.",
            _LOGS,
            high=1.0,
            off=1.0,
        ),
    ] = 0.05
    target_surplus_sds: Annotated[
        float,
        Constant(
            "surplus_drift_sd",
            "Surplus that prices of prompts aim at.",
            _LOGS,
            off=0.0,
        ),
    ] = 1.5
    surplus_band_below_sds: Annotated[
        float,
        Constant(
            "surplus_drift_sd",
            "How far the surplus may sink below 0 before the static mix takes over.",
            _LOGS,
            off=1e9,
        ),
    ] = 2.5
    surplus_band_above_sds: Annotated[
        float,
        Constant(
            "surplus_drift_sd",
            "How far the surplus may rise above its target before the static mix takes over.",
            _LOGS,
            off=1e9,
        ),
    ] = 4.0
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
    price_grid_low: Annotated[
        float,
        Constant("cost of the dearest call", "Lowest price of the curve.", _NUMERIC, low=1e-300),
    ] = 1e-5
    price_grid_high: Annotated[
        float,
        Constant("cost of the dearest call", "Highest price of the curve.", _NUMERIC, low=1e-300),
    ] = 1e4
    price_grid_points: Annotated[
        int, Constant("prices", "Prices of the curve.", _NUMERIC, low=2.0)
    ] = 73
    price_reset_requests: Annotated[
        float,
        Constant(
            "requests",
            "Requests that the curve still counts for after estimates have changed.",
            _LOGS,
            low=1.0,
            off=1e9,
        ),
    ] = 50

    # Gate of prompts
    gate_significance_sds: Annotated[
        float,
        Constant(
            "standard errors",
            "Standard errors above 0 at which the slope of labels on prompts counts.",
            "5 % significance, two-sided",
            off=0.0,
        ),
    ] = 2.0
    gate_prior_precision: Annotated[
        float,
        Constant("squared satisfaction", "Prior precision of both slopes.", _LOGS, low=1e-9),
    ] = 0.25
    gate_recent_labels: Annotated[
        float,
        Constant(
            "labels",
            "Latest labels on which predictions must not be worse than means.",
            _LOGS,
            low=1.0,
            off=1e9,
        ),
    ] = 300.0
    gate_mean_requests: Annotated[
        float,
        Constant(
            "requests",
            "Latest requests over which the estimator's mean of each model is taken.",
            _LOGS,
            low=1.0,
        ),
    ] = 200.0
    gate_min_requests: Annotated[
        float, Constant("requests", "Requests before prompts may decide.", _LOGS, off=0.0)
    ] = 50
    gate_noise_prior: Annotated[
        float,
        Constant(
            "squared satisfaction",
            "Residual variance of the gate's regression before the first label.",
            "variance of a label with mean 1/2",
            low=1e-9,
        ),
    ] = 0.25

    # Prior of the models' means
    default_floor: Annotated[
        float,
        Constant("satisfaction", "Centre of the prior where no SLA has a floor.", "even odds"),
    ] = 0.5
    prior_level_sd: Annotated[
        float,
        Constant(
            "label sds", "Prior standard deviation of what all models share.", _LOGS, low=1e-3
        ),
    ] = 0.3
    prior_slope_sd: Annotated[
        float,
        Constant("label sds", "Prior standard deviation of the gain with price.", _LOGS, low=1e-6),
    ] = 0.05
    model_deviation_sd: Annotated[
        float,
        Constant(
            "label sds",
            "Prior standard deviation of a model's mean from the line over price.",
            _LOGS,
            low=1e-6,
        ),
    ] = 0.03
    model_deviation_prior_models: Annotated[
        float,
        Constant(
            "models",
            "Models that this prior is worth against what labels say of the deviation.",
            _LOGS,
            low=1e-6,
        ),
    ] = 3.0
    model_deviation_half_labels: Annotated[
        float,
        Constant(
            "labels",
            "Labels at which a model counts half in the estimate of the deviation.",
            _LOGS,
            off=0.0,
        ),
    ] = 30.0
    model_deviation_refit_labels: Annotated[
        int,
        Constant("labels", "Labels between estimates of the deviation.", _NUMERIC, low=1.0),
    ] = 8
    prior_price_gain: Annotated[
        float,
        Constant(
            "label sds",
            "Prior mean of how much better the dearest model is than the cheapest.",
            _LOGS,
            off=0.0,
        ),
    ] = 0.15
    prior_floor_position: Annotated[
        float,
        Constant(
            "share of the gain",
            "Where between the cheapest and the dearest model the promised floor lies.",
            _LOGS,
            high=1.0,
        ),
    ] = 0.4
    prior_price_exponent: Annotated[
        float,
        Constant("1", "How the gain falls off over log prices.", _LOGS, off=1.0),
    ] = 0.5
    prior_max_gain: Annotated[
        float,
        Constant(
            "share of what is missing to 1",
            "Most that a model is expected to satisfy above the floor.",
            _LOGS,
            high=1.0,
            off=1.0,
        ),
    ] = 0.5
    min_label_sd: Annotated[
        float,
        Constant("satisfaction", "Least value of twice a label's standard deviation.", _LOGS),
    ] = 0.2
    min_label_variance: Annotated[
        float,
        Constant("squared satisfaction", "Least variance of a label.", _LOGS, low=1e-9),
    ] = 0.01

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
    change_min_variance: Annotated[
        float,
        Constant(
            "squared satisfaction",
            "Least variance of a label that a prompt predicts.",
            _CHANGES,
            low=1e-9,
        ),
    ] = 0.05
    recent_labels: Annotated[
        float,
        Constant("labels", "Labels that count after a change.", _CHANGES, low=1.0),
    ] = 30.0
    changed_model_decay: Annotated[
        float,
        Constant(
            "share",
            "Weight that labels of a changed model keep per decay interval.",
            "a half-life of 340 requests; " + _CHANGES,
            low=0.01,
            high=1.0,
            off=1.0,
        ),
    ] = 0.95
    changed_model_decay_requests: Annotated[
        int, Constant("requests", "Decay interval.", _NUMERIC, low=1.0)
    ] = 25
    changed_model_min_labels: Annotated[
        float,
        Constant("labels", "Labels at which the decay ends.", _CHANGES, low=1e-3),
    ] = 3.0
    changed_model_known_labels: Annotated[
        float,
        Constant("labels", "Labels from which a changed model is known again.", _CHANGES, low=1.0),
    ] = 200.0

    # Surplus
    pooled_labels: Annotated[
        float,
        Constant(
            "labels",
            "Labels that a model's mean over all SLAs is worth against an SLA's own.",
            _LOGS,
            low=1e-6,
        ),
    ] = 20.0
    guard_refresh_labels: Annotated[
        float,
        Constant(
            "labels", "Labels between computations of the surplus that proves a floor.", _NUMERIC
        ),
    ] = 32.0
    difficulty_prior_labels: Annotated[
        float,
        Constant(
            "labels",
            "Labels that the assumption of equally hard requests of all SLAs is worth.",
            "chosen on bench_scenarios.py several, seeds 10 to 23",
        ),
    ] = 50.0
    difficulty_memory_labels: Annotated[
        float,
        Constant(
            "labels",
            "Labels over which the difficulty of an SLA's requests is followed.",
            "chosen on bench_scenarios.py several, seeds 10 to 23",
            low=1.0,
        ),
    ] = 1000.0

    # Complaints
    complaints_to_detect: Annotated[
        int,
        Constant(
            "labels",
            "First labels, all complaints, after which silence means satisfied.",
            _LOGS,
            low=1.0,
        ),
    ] = 40
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

    # Warm start
    warm_start_held_out: Annotated[
        float,
        Constant(
            "share of the history",
            "Last part of a history, learned label by label, that shows what prompts tell.",
            _LOGS,
            high=1.0,
        ),
    ] = 0.2

    def __post_init__(self) -> None:
        check_one_of("PrimalDualConfig.silence", self.silence, ("auto", "unknown", "satisfied"))
        super().__post_init__()
