"""The flagship: least cost at a promised floor, from whatever feedback there is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features
from floorline.errors import check_number, check_one_of
from floorline.estimators.shared_difficulty import SharedDifficulty
from floorline.events import Decision, Feedback, Outcome
from floorline.policies.base import Choice, History, Request, declined, lowest
from floorline.policies.budgets.pacing import Pacing
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator, check_history
from floorline.policies.primal_dual.price_curve import PriceCurve
from floorline.policies.primal_dual.prompt_gate import PromptGate
from floorline.policies.primal_dual.quality_posterior import KEEP, QualityPosterior
from floorline.policies.primal_dual.static_mix_controller import StaticMixController
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator
from floorline.policies.primal_dual.warm_start import warm_start_costs, warm_start_quality
from floorline.sla import SLA
from floorline.zoo import Zoo

Floats = NDArray[np.float64]
Silence = Literal["auto", "unknown", "satisfied"]

_STEADY = 1000.0
"""Requests over which prices of prompts work a shortfall off. Cost grows faster than in proportion
with what is asked for, so haste is dear."""

_ANY = 0.5
"""Level that is expected of models where no floor is promised."""

_SUNK, _ASTRAY = 2.5, 4.0
"""How far, as a multiple of how far it wanders, a surplus may sink below 0, or rise above where
prices of prompts are to keep it, before the rungs bring it back."""

_HASTE = 0.05
"""Most that a shortfall or surplus moves the satisfaction that prices aim at."""

_ODD_COST = 10.0
"""Most, as a factor, that a prompt may change what calls for prompts of its length cost."""

_COMPLAINTS = 40


class PrimalDual(EstimatingPolicy):
    """Floor τ per request, budgets and feedback of any kind, in one rule.

    docs/flagship.md has the equations and what every part buys. In short, for every request:

    1. *Posterior*: a Gaussian posterior of each model's mean satisfaction (``QualityPosterior``).
    2. *Surplus* S of the SLA over its floor, doubly robust, with its standard error (
       ``SurplusEstimator``), and the buffer B that should be in hand: what the random walk of
       satisfaction takes away before the better model wins it back, plus a margin of
       ``caution`` standard errors where labels are sparse.
    3. *Static mix* (``StaticMixController``): below B the model with the lowest cost per expected
       improvement over the floor serves (so that an uncertain dear model has to be worth
       trying); above B the one that makes the cheapest mix with it. That is a static mix on
       what is known, held on course by feedback.
    4. *Prompts*: as far as the estimator's differences between models have proved true
       (``PromptGate``), argmin ĉ − λ·q̃(x) serves instead, with the price λ at which the latest
       requests would just meet the floor (``PriceCurve``), and a little more to work off a
       shortfall.
       A surplus that strays far from where prices are to keep it brings the static mix back.
    5. *Budgets* (``Pacing``): an SLA with one gets the most satisfaction for it, at least τ.

    Parameters
    ----------
    estimator
        Builds the estimator of what prompts tell.
    patience
        Number of requests, beside those so far, over which a shortfall is worked off.
    optimism
        Standard deviations, as a multiple, that count as possible improvement; fewer where few
        responses get labels.
    buffer, reach
        B in units of the walk's own scale, and at most ``reach`` of the drift gained so far.
    caution
        Standard errors of the surplus estimate to keep in hand, beside what proves the floor of an
        SLA that is ``guarded``.
    spare
        Labels to keep in hand while prompts decide, in standard deviations of how far satisfaction
        wanders off before prices bring it back.
    explore
        Most of a request's cost that is spent, in expectation, on trying other models.
    prompts, detect
        Whether prompts may decide, and whether changes of quality are looked for.
    silence
        What a missing label means: ``"unknown"``, ``"satisfied"`` (only complaints are reported),
        or ``"auto"``: satisfied if the first 40 labels are all complaints.
    complaint_rate
        Assumed share of dissatisfied users who complain, where silence means satisfied. It cannot
        be learned from complaints alone.
    horizon
        Number of requests that budgets are for; floors do not know it.
    window
        Number of latest requests that λ and prices of budgets are solved on (at most 500 for
        these).
    """

    name = "primal_dual"

    def __init__(
        self,
        *,
        estimator: MakeEstimator = SharedDifficulty,
        patience: float = 3000.0,
        optimism: float = 1.3,
        buffer: float = 4.0,
        reach: float = 0.5,
        caution: float = 1.5,
        spare: float = 1.5,
        explore: float = 0.02,
        prompts: bool = True,
        detect: bool = True,
        silence: Silence = "auto",
        complaint_rate: float = 0.5,
        horizon: int = 1000,
        window: int = 2000,
    ) -> None:
        super().__init__(estimator=estimator)
        zero = "give 0 or more"
        self.patience = check_number(
            "primal_dual.patience", patience, low=1.0, fix="give 1 or more"
        )
        self.optimism = check_number("primal_dual.optimism", optimism, low=0.0, fix=zero)
        self.buffer = check_number("primal_dual.buffer", buffer, low=0.0, fix=zero)
        self.reach = check_number("primal_dual.reach", reach, low=0.0, fix=zero)
        self.caution = check_number("primal_dual.caution", caution, low=0.0, fix=zero)
        self.spare = check_number("primal_dual.spare", spare, low=0.0, fix=zero)
        share = "give a share, 0 to 1"
        self.explore = check_number("primal_dual.explore", explore, low=0, high=1, fix=share)
        self.prompts = bool(prompts)
        self.detect = bool(detect)
        check_one_of("primal_dual.silence", silence, ("auto", "unknown", "satisfied"))
        self.silence = silence
        self.complaint_rate = check_number(
            "primal_dual.complaint_rate", complaint_rate, low=0.01, high=1.0, fix="give 0.01 to 1"
        )
        count = "give a number of requests of 1 or more"
        self.horizon = int(check_number("primal_dual.horizon", horizon, low=1, fix=count))
        self.window = int(check_number("primal_dual.window", window, low=1, fix=count))
        self._static_mix = StaticMixController(
            self.patience, self.optimism, self.buffer, self.reach
        )

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Begin with the prior that prices and promised floors give."""
        super().start(zoo, slas, dim)
        floors = [sla.floor for sla in slas.values()]
        self.posterior_ = QualityPosterior(
            zoo, sum(floors) / len(floors) or _ANY, detect=self.detect
        )
        self.gate_ = PromptGate(zoo.names)
        self.surplus_ = {name: SurplusEstimator(zoo.names) for name in slas}
        self.pacing_ = {name: self._pacing(sla, zoo.names) for name, sla in slas.items()}
        self.price_curve_ = PriceCurve(float(zoo.typical_costs.max()), memory=self.window)
        self.silence_is_satisfied_ = self.silence == "satisfied"
        self.guarded_ = {name: sla.confidence for name, sla in slas.items() if sla.guarded}
        self.complaints_only_ = 0

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve by prompts as far as they have proved to tell, by rungs otherwise."""
        raw, cost = self._estimate(request.features, request.input_tokens)
        decides = self._prompts_tell and not self.surplus_[request.sla].off_course
        quality = self._read(raw, decides=decides)
        in_hand = self._in_hand(request.sla)
        pacing, able = self.pacing_[request.sla], request.allowed
        if pacing.limited:
            # A shortfall makes satisfaction worth more than the budget alone would.
            need = 1.0 + max(0.0, in_hand.short) / math.sqrt(self.patience)
            # Money that nobody is worth by what is known buys knowledge instead.
            hoped = quality + self.optimism * self.posterior_.sd_
            score = need * hoped - pacing.prices * cost
            paced = pacing.within_pace(cost)
            able = paced if able is None else able & paced
            served = int(np.where(able, score, -np.inf).argmax())
            if not able[served] or score[served] < 0.0:
                return declined(len(cost))._replace(quality=quality, cost=cost)
        elif decides:
            worth = self.price_curve_.price(self._aim(request, in_hand))
            # What changed or joined may be better than it seems, and nobody would find out.
            hoped = quality + self.optimism * self.posterior_.doubt
            served = lowest(cost - worth * hoped, able)
        else:
            account = self.surplus_[request.sla]
            served = self._static_mix.serve(
                cost, able, request.floor, self.posterior_, account, in_hand
            )
        propensities = self._exploration(served, cost, able)
        model = int(propensities.cumsum().searchsorted(rng.random(), side="right"))
        model = min(model, len(cost) - 1)
        return Choice(model, (model,), propensities, model != served, quality, cost)

    def on_decision(self, decision: Decision) -> None:
        """Count what was served and promised; move the prices of floor and budgets."""
        name = decision.sla
        raw = self.quality_.predict_one(decision.features)
        self.gate_.see(raw)
        self.price_curve_.see(self._read(raw), decision.cost_estimates)
        pacing = self.pacing_[name]
        if pacing.limited:
            pacing.see(decision, decision.quality_estimates)
        if decision.declined:
            return
        self.posterior_.age()
        account = self.surplus_[name]
        account.serve(decision.index, decision.floor)
        if self._prompts_tell:
            surplus, guard = self._in_hand(name)
            wander = self._wander
            # What is not known of the surplus is no sign of anything.
            course = self.spare * wander
            below, above = course + _SUNK * wander + guard, _ASTRAY * wander + guard
            account.watch(course - surplus, below, above)
        if self.silence_is_satisfied_:
            # Silence is no label: many in a row are no change for the better.
            self.posterior_.learn(decision.index, 1.0, test=False)

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Learn and settle the real cost."""
        super().on_outcome(decision, model, outcome)
        if decision.sla in self.pacing_:
            self.pacing_[decision.sla].settle(decision, model, outcome)

    def on_feedback(
        self, decision: Decision, model: int, feedback: Feedback, previous: float | None
    ) -> None:
        """Put a label in the place of the expectation, and learn from it."""
        score = float(feedback.score)
        served = feedback.model == decision.model
        if served:
            account = self.surplus_[decision.sla]
            account.label(model, score, previous)
            if decision.sla in self.guarded_:
                account.prove(self.guarded_[decision.sla])
            if previous is None and len(self.surplus_) > 1:
                account.compare(score, float(self.posterior_.mean_[model]))
            self._detect_complaints_only(score, previous)
        if self.silence_is_satisfied_:
            if served:
                before = 1.0 if previous is None else self._complaint(previous)
                self.posterior_.replace(model, before, self._complaint(score))
            return
        if previous is not None:
            self.posterior_.replace(model, previous, score)
            return
        raw = self.quality_.predict_one(decision.features)
        proven, changes = self.gate_.proven, self.posterior_.changes_
        level = float(self.posterior_.mean_[model])
        self.gate_.compare(level, float(self._read(raw)[model]), score)
        self.gate_.learn(raw, level, model, score)
        told = float(raw[model]) if proven and self.prompts else None
        self.posterior_.learn(model, score, expected=told)
        self.quality_.learn_one(decision.features, model, score)
        changed = self.posterior_.changes_ > changes
        if changed and isinstance(self.quality_, SharedDifficulty):
            # Labels of requests that prompts chose say how far off estimates are, not the mean.
            now = float(self.posterior_.mean_[model])
            by = now - level if told is None else self.posterior_.shift_
            self.quality_.shift(model, by, KEEP)
            self.gate_.shift(model, by)
        # The frontier was drawn with other estimates, for up to thousands of requests.
        if changed or (self.gate_.proven and not proven):
            self.price_curve_.forget()

    def on_zoo(self, zoo: Zoo) -> None:
        """Keep what was learned of models that stay."""
        super().on_zoo(zoo)
        for account in self.surplus_.values():
            account.set_models(zoo.names, self.posterior_.mean_)
        self.posterior_.set_zoo(zoo)
        self.gate_.set_models(zoo.names)
        self.price_curve_.restart(float(zoo.typical_costs.max()))
        for pacing in self.pacing_.values():
            pacing.set_models(zoo.names)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Open accounts for new SLAs; take over changed budgets."""
        names = self.posterior_.models_
        for name, sla in slas.items():
            if name in self.pacing_:
                self.pacing_[name].set_sla(sla)
        self.surplus_ = {n: self.surplus_.get(n) or SurplusEstimator(names) for n in slas}
        self.guarded_ = {name: sla.confidence for name, sla in slas.items() if sla.guarded}
        self.pacing_ = {n: self.pacing_.get(n) or self._pacing(s, names) for n, s in slas.items()}

    def queue(self, sla: str) -> float:
        """Shortfall of an SLA against its floor and margin, 0 if there is none."""
        return max(0.0, self._in_hand(sla).short)

    def warm_start(self, history: History) -> None:
        """Learn a history, and what it says of how much prompts tell."""
        check_history(history)
        if len(history.features):
            warm_start_quality(history, self.quality_, self.posterior_, self.gate_)
            warm_start_costs(history, self.cost_, self.quality_)
            self._prepare(history)

    def _prepare(self, history: History) -> None:
        """Price floors and budgets by the latest requests of a history."""
        rows = range(
            max(0, len(history.features) - self.price_curve_.memory), len(history.features)
        )
        both = [self._estimate(history.features[r], int(history.input_tokens[r])) for r in rows]
        quality = np.array([self._read(raw) for raw, _ in both])
        cost = np.array([paid for _, paid in both])
        self.price_curve_.see_many(quality, cost)
        for pacing in self.pacing_.values():
            pacing.prepare(quality, cost)

    def _estimate(self, x: Features, input_tokens: int) -> tuple[Floats, Floats]:
        """(M,) q̂(x), and ĉ(x): what prompts of this length cost, times what is odd about this."""
        usual = self.cost_.predict_one(input_tokens)
        if not isinstance(self.quality_, SharedDifficulty):
            return self.quality_.predict_one(x), usual
        if not self.quality_.tells_costs:
            return self.quality_.predict_one(x), usual
        raw, shape = self.quality_.estimate_one(x)
        shape = np.minimum(np.maximum(shape, 1.0 / _ODD_COST), _ODD_COST)
        return raw, usual * np.where(np.isnan(shape), 1.0, shape)

    def _read(self, raw: Floats, *, decides: bool = True) -> Floats:
        """(M,) q̃(x) of an estimate q̂(x): means, moved by what prompts have proved to tell.

        Where prompts decide who serves, easy requests go to cheap models, whose labels then
        flatter them; so the means are those of the estimator's predictions for all requests.
        """
        means = self.gate_.centre_ if decides else self.posterior_.mean_
        return self.gate_.adjust(means, raw)

    def _pacing(self, sla: SLA, models: Sequence[str]) -> Pacing:
        return Pacing(sla, list(models), horizon=self.horizon)

    def _in_hand(self, name: str) -> SurplusEstimate:
        """Surplus of an SLA and the margin for not knowing it better."""
        account = self.surplus_[name]
        if self.silence_is_satisfied_:
            rate = self.complaint_rate
            complaints = float((account.labels_ - account.sum_).sum())
            served = float(account.served_.sum()) + account.gone_
            # Which of the dissatisfied complain is chance.
            error = math.sqrt(max(0.0, complaints) * (1.0 - rate)) / rate
            return SurplusEstimate(
                served - complaints / rate - account.floor_sum_, self.caution * error
            )
        surplus, error = account.surplus(self.posterior_.mean_, self.posterior_.variance)
        return SurplusEstimate(surplus, self.caution * error + account.proof)

    def _exploration(self, served: int, cost: Floats, able: NDArray[np.bool_] | None) -> Floats:
        """(M,) propensities: the served model, and a little of those that are little known."""
        paid = float(cost[served])
        unknown = 10.0 / (self.posterior_.labels_ + 10.0)
        # What a call costs beyond the served model's makes it as much rarer.
        dear = np.maximum(cost, paid or 1e-300)
        share = self.explore / max(1.0, float(unknown.sum()))
        propensities = (share * paid) * unknown / dear
        if able is not None:
            propensities *= able
        propensities[served] = 0.0
        propensities[served] = 1.0 - float(propensities.sum())
        return np.asarray(propensities)

    @property
    def _prompts_tell(self) -> bool:
        """Whether prompts may decide, and have proved to tell models apart."""
        return self.prompts and self.gate_.proven

    @property
    def _wander(self) -> float:
        """How far satisfaction wanders off before such slow correction brings it back."""
        return math.sqrt(0.5 * self.posterior_.variance * _STEADY)

    def _aim(self, request: Request, in_hand: SurplusEstimate) -> float:
        """Mean satisfaction for prices of prompts to aim at: the floor, and what is short of it."""
        short = in_hand.short + self.spare * self._wander
        floor = self.surplus_[request.sla].asked(request.floor)
        return floor + max(-_HASTE, min(_HASTE, short / _STEADY))

    def _detect_complaints_only(self, score: float, previous: float | None) -> None:
        """Notice that only complaints are ever reported."""
        if self.silence != "auto" or self.complaints_only_ < 0 or previous is not None:
            return
        if score >= 0.5:
            self.complaints_only_ = -1
            return
        self.complaints_only_ += 1
        if self.complaints_only_ >= _COMPLAINTS:
            self.complaints_only_ = -1
            self.silence_is_satisfied_ = True
            accounts = self.surplus_.values()
            served = np.sum([a.served_ for a in accounts], axis=0)
            missed = np.sum([a.labels_ - a.sum_ for a in accounts], axis=0)
            self.posterior_.restart(served, served - missed / self.complaint_rate)

    def _complaint(self, score: float) -> float:
        """What a response counts as after a complaint, for itself and those who did not."""
        return 1.0 - (1.0 - score) / self.complaint_rate
