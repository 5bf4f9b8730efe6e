"""The flagship: least cost at a promised floor, from whatever feedback there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features
from floorline.estimators.cost import CacheTokens
from floorline.estimators.shared_difficulty import SharedDifficulty
from floorline.events import Decision, Feedback, Outcome
from floorline.policies.base import (
    DECLINED,
    Choice,
    History,
    ModelChanges,
    ModelEstimates,
    Request,
)
from floorline.policies.budgets.pacing import Pacing
from floorline.policies.conversation import FutureCosts, design_effect, future_costs
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator, check_history
from floorline.policies.primal_dual.change_detector import Change, ChangeDetector
from floorline.policies.primal_dual.complaints import ComplaintMode
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.price_curve import PriceCurve
from floorline.policies.primal_dual.prompt_gate import PromptGate
from floorline.policies.primal_dual.quality_posterior import Floats, QualityPosterior
from floorline.policies.primal_dual.static_mix_controller import STATIC_MIX
from floorline.policies.primal_dual.strategies import (
    BudgetStrategy,
    ConversationStrategy,
    PromptStrategy,
    Situation,
    StaticMixStrategy,
    Strategy,
    correction_horizon,
    surplus_drift_sd,
)
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator
from floorline.policies.primal_dual.warm_start import warm_start_costs, warm_start_quality
from floorline.sla import SLA
from floorline.zoo import Zoo

FALLBACK = "fallback to the static mix"
"""Rule of decisions by the static mix although prompts were shown to tell models apart."""


class PrimalDual(EstimatingPolicy):
    """Floor τ per request, budgets and feedback of any kind, in one rule.

    docs/flagship.md has the equations and what every part buys. In short, for every request:

    1. *Posterior* (``QualityPosterior``): each model's mean satisfaction, μ_m ± σ_m.
    2. *Surplus* S of the SLA over its floor, doubly robust, with its standard error
       (``SurplusEstimator``), and the buffer B that should be in hand.
    3. *Static mix* (``StaticMixController``): below B the model with the lowest cost per expected
       improvement over the floor serves, above B the one that makes the cheapest mix with it.
    4. *Prompts*: once predictions are shown to tell models apart (``PromptGate``),
       argmin ĉ − λ·q̃(x) serves instead, at the price λ at which the latest requests just meet the
       floor (``PriceCurve``). A negative surplus brings the static mix back.
    5. *Budgets* (``Pacing``): an SLA with one gets the most satisfaction for it, at least τ.

    Parameters
    ----------
    estimator
        Builds the estimator that predicts quality from prompts.
    config
        Every constant; ``PrimalDualConfig`` documents them.
    changes
        Single constants that differ from ``config``, by name.

    Attributes
    ----------
    posterior_, detector_, gate_, price_curve_, complaints_
        The parts above, shared by all SLAs.
    surplus_, pacing_
        Surplus and budgets by SLA.

    Examples
    --------
    >>> PrimalDual(optimism_sds=2.0).config.optimism_sds
    2.0
    """

    name = "primal_dual"

    def __init__(
        self,
        *,
        estimator: MakeEstimator = SharedDifficulty,
        config: PrimalDualConfig | None = None,
        **changes: Any,
    ) -> None:
        super().__init__(estimator=estimator)
        self.config = (PrimalDualConfig() if config is None else config).changed(**changes)

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of the arguments, those of the configuration included."""
        return ("estimator", "config", *PrimalDualConfig.__struct_fields__)

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Begin with the prior that prices and promised floors give."""
        super().start(zoo, slas, dim)
        config, floors = self.config, [sla.floor for sla in slas.values()]
        # Where no floor is promised, even odds.
        floor = sum(floors) / len(floors) or 0.5
        self.posterior_ = QualityPosterior(zoo, floor, config)
        self.detector_ = ChangeDetector(zoo.names, config)
        self.gate_ = PromptGate(zoo.names, config)
        self.price_curve_ = PriceCurve(float(zoo.typical_costs.max()), config)
        self.complaints_ = ComplaintMode(config)
        self.surplus_ = {name: SurplusEstimator(zoo.names, config) for name in slas}
        self.pacing_ = {name: Pacing(sla, zoo.names, config) for name, sla in slas.items()}
        self.guarded_ = {name: sla.confidence for name, sla in slas.items() if sla.guarded}

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve under a budget, by prompts or by the static mix, and explore a little."""
        prediction, cost = self._estimate(request.features, request.input_tokens, request.cache)
        account = self.surplus_[request.sla]
        by_prompts = self._prompts_decide and not account.fallback_active_
        situation = Situation(
            request=request,
            quality=self._adjust(prediction, by_prompts=by_prompts),
            cost=cost,
            estimate=self._surplus(request.sla),
            account=account,
            posterior=self.posterior_,
            detector=self.detector_,
            future=self._future(request, by_prompts=by_prompts),
        )
        strategy = self._strategy(request, by_prompts=by_prompts)
        found = strategy.serve(situation)
        if found.model == DECLINED:
            model, propensities = DECLINED, np.zeros(len(cost))
        else:
            share = self.config.exploration_cost_share if found.explore else 0.0
            propensities = self._explore(found.model, cost, situation.scored, found.able, share)
            model = int(propensities.cumsum().searchsorted(rng.random(), side="right"))
            model = min(model, len(cost) - 1)
        fallback = found.rule == STATIC_MIX and self._prompts_decide
        return Choice(
            model,
            () if model == DECLINED else (model,),
            propensities,
            model != found.model,
            situation.quality,
            cost,
            prediction,
            found.future_cost,
            FALLBACK if fallback else found.rule,
            found.scores,
            found.multipliers,
        )

    def on_decision(self, decision: Decision) -> None:
        """Count what was served and promised; move the prices of floor and budgets."""
        prediction = decision.prediction
        if prediction is None or decision.policy != self.name:
            prediction = self.quality_.predict_one(decision.features)
        self.gate_.see(prediction)
        in_conversation = bool(decision.prefix or decision.follows)
        by_means = in_conversation and not self._prompts_decide
        quality = self.posterior_.mean_ if by_means else self._adjust(prediction)
        self.price_curve_.see(quality, decision.scored_costs)
        if self.pacing_[decision.sla].limited:
            self.pacing_[decision.sla].see(decision, decision.quality_estimates)
        if decision.declined:
            return
        weights = self.detector_.decay(self.posterior_.labels_)
        if weights is not None:
            self.posterior_.decay(weights)
        self.surplus_[decision.sla].serve(decision.index, decision.floor)
        if self._prompts_decide:
            self._watch(decision.sla)
        if self.complaints_.silence_is_satisfied_:
            self.posterior_.learn(decision.index, 1.0)

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Learn and settle the real cost."""
        super().on_outcome(decision, model, outcome)
        if decision.sla in self.pacing_:
            self.pacing_[decision.sla].settle(decision, model, outcome)

    def on_feedback(
        self, decision: Decision, model: int, feedback: Feedback, previous: float | None
    ) -> None:
        """Put a label in the place of the expectation, and learn from it."""
        score, served = float(feedback.score), feedback.model == decision.model
        if served:
            self._count(decision.sla, model, score, previous, feedback)
        if self.complaints_.silence_is_satisfied_:
            if served:
                self.complaints_.relabel(
                    self.posterior_, model, previous, score, feedback.influence
                )
        elif previous is not None:
            self.posterior_.replace(model, previous, score, feedback.influence)
        else:
            self._learn(decision, model, score, feedback.influence)

    def on_judgement(self, decision: Decision, model: int, label: Feedback) -> None:
        """Learn a judge's corrected score; the surplus counts users' labels only."""
        if not self.complaints_.silence_is_satisfied_:
            self._learn(decision, model, float(label.score), label.influence)

    def on_zoo(self, zoo: Zoo) -> None:
        """Keep what was learned of models that stay."""
        super().on_zoo(zoo)
        for account in self.surplus_.values():
            account.set_models(zoo.names, self.posterior_.mean_)
        self.posterior_.set_zoo(zoo)
        self.detector_.set_models(zoo.names)
        self.gate_.set_models(zoo.names)
        self.price_curve_.restart(float(zoo.typical_costs.max()))
        for pacing in self.pacing_.values():
            pacing.set_models(zoo.names)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Begin to count for new SLAs; take over changed budgets."""
        names, config = self.posterior_.models_, self.config
        for name, sla in slas.items():
            if name in self.pacing_:
                self.pacing_[name].set_sla(sla)
        self.surplus_ = {n: self.surplus_.get(n) or SurplusEstimator(names, config) for n in slas}
        self.pacing_ = {n: self.pacing_.get(n) or Pacing(s, names, config) for n, s in slas.items()}
        self.guarded_ = {name: sla.confidence for name, sla in slas.items() if sla.guarded}

    def queue(self, sla: str) -> float:
        """Shortfall of an SLA against its floor and margin, 0 if there is none."""
        return max(0.0, self._surplus(sla).shortfall)

    @property
    def changes_detected(self) -> int:
        """Number of changes of a model's quality that were detected."""
        return self.detector_.changes_

    def changes(self) -> ModelChanges:
        """Return the number of changes, and the models that changed or joined lately."""
        recent = self.detector_.uncertain(self.posterior_.labels_).tolist()
        names = zip(self.posterior_.models_, recent, strict=True)
        return ModelChanges(self.changes_detected, tuple(name for name, is_new in names if is_new))

    def model_estimates(self) -> ModelEstimates:
        """Return the posterior of each model's mean satisfaction."""
        known = self.posterior_
        return ModelEstimates(
            tuple(known.models_), known.mean_.copy(), known.sd_.copy(), known.labels_.copy()
        )

    def warm_start(self, history: History) -> None:
        """Learn a history, and what it says of how much prompts tell."""
        check_history(history)
        if not len(history.features):
            return
        held_out = self.config.warm_start_held_out
        warm_start_quality(history, self.quality_, self.posterior_, self.gate_, held_out=held_out)
        self.detector_.expect(self.posterior_.mean_)
        warm_start_costs(history, self.cost_, self.quality_)
        self._price(history)

    def _strategy(self, request: Request, *, by_prompts: bool) -> Strategy:
        pacing = self.pacing_[request.sla]
        if pacing.limited:
            return BudgetStrategy(self.config, pacing.renewed(request.at))
        if by_prompts:
            return PromptStrategy(self.config, self.price_curve_)
        if request.turn is not None:
            return ConversationStrategy(self.config, self.price_curve_)
        return StaticMixStrategy(self.config)

    def _estimate(
        self, x: Features, input_tokens: int, cache: CacheTokens | None = None
    ) -> tuple[Floats, Floats]:
        """(M,) q̂(x), and ĉ(x): the cost of calls of this length, times what the prompt adds."""
        usual = self.cost_.predict_one(input_tokens, cache)
        prediction, factor = self.quality_.estimate_one(x)
        most = self.config.max_prompt_cost_factor
        factor = np.minimum(np.maximum(factor, 1.0 / most), most)
        return prediction, usual * np.where(np.isnan(factor), 1.0, factor)

    def _future(self, request: Request, *, by_prompts: bool) -> FutureCosts | None:
        """Costs of the later turns of a request's conversation; None if it has none."""
        if request.turn is None:
            return None
        mean = self.gate_.centre_ if by_prompts else self.posterior_.mean_
        return future_costs(self.cost_, request.turn, mean)

    def _adjust(self, prediction: Floats, *, by_prompts: bool = True) -> Floats:
        """(M,) q̃(x) of a prediction q̂(x): means, moved by what prompts were shown to tell.

        Where prompts decide, easy requests go to cheap models, whose labels then flatter them; so
        the means are those of the estimator's predictions for all requests.
        """
        means = self.gate_.centre_ if by_prompts else self.posterior_.mean_
        return self.gate_.adjust(means, prediction)

    def _surplus(self, sla: str) -> SurplusEstimate:
        """Surplus of an SLA, and what to keep in hand because it is an estimate."""
        account, keep = self.surplus_[sla], self.config.keep_probability
        if self.complaints_.silence_is_satisfied_:
            surplus, error = self.complaints_.surplus(account)
            return SurplusEstimate(surplus, error, keep)
        known = self.posterior_
        surplus, error = account.surplus(known.mean_, known.sd_, known.variance)
        return SurplusEstimate(surplus, error, keep, account.proof)

    def _explore(
        self,
        served: int,
        cost: Floats,
        scored: Floats,
        able: NDArray[np.bool_] | None,
        share: float,
    ) -> Floats:
        """(M,) propensities: the served model, and a little of those with few labels.

        ``share`` of the served model's cost is spent on the latter, in expectation; each of them
        costs what it is ``scored`` (M,) at.
        """
        paid = float(cost[served])
        known = self.config.informative_labels
        unknown = known / (self.posterior_.labels_ + known)
        # A call that costs more than the served model's is as much rarer.
        price = np.maximum(scored, paid or 1e-300)
        share /= max(1.0, float(unknown.sum()))
        propensities = (share * paid) * unknown / price
        if able is not None:
            propensities *= able
        propensities[served] = 0.0
        propensities[served] = 1.0 - float(propensities.sum())
        return np.asarray(propensities)

    @property
    def _prompts_decide(self) -> bool:
        """Whether prompts may decide, and were shown to tell models apart."""
        return self.config.prompts and self.gate_.is_significant

    def _watch(self, sla: str) -> None:
        """Start the fallback to the static mix where the surplus is negative; end it where the
        surplus is at its target.

        The margin is added, so that an imprecise surplus does not trigger it. A surplus above its
        target needs no fallback: it lowers the price of prompts.
        """
        config, account, estimate = self.config, self.surplus_[sla], self._surplus(sla)
        drift = surplus_drift_sd(self.posterior_, correction_horizon(account, config))
        target = config.target_surplus_sds * drift
        account.watch(target - estimate.surplus, target + estimate.margin)

    def _count(
        self, sla: str, model: int, score: float, previous: float | None, feedback: Feedback
    ) -> None:
        """Count the label of a served response for its SLA."""
        account = self.surplus_[sla]
        account.label(model, score, previous, feedback.weight)
        if sla in self.guarded_:
            account.prove(self.guarded_[sla])
        if previous is None:
            if len(self.surplus_) > 1:
                account.compare(score, float(self.posterior_.mean_[model]), feedback.weight)
            if self.complaints_.observe(score, feedback.influence):
                self.complaints_.restart(self.posterior_, self.surplus_.values())
                self.detector_.restart()

    def _learn(self, decision: Decision, model: int, y: float, weight: float) -> None:
        """Learn a first label: compare it with what was predicted, then move the predictions."""
        x = decision.features
        prediction = self.quality_.predict_one(x)
        significant, mean = self.gate_.is_significant, float(self.posterior_.mean_[model])
        self.gate_.compare(mean, float(self._adjust(prediction)[model]), y, weight)
        self.gate_.learn(prediction, mean, model, y, weight)
        predicted = float(prediction[model]) if significant and self.config.prompts else None
        # A block of labels that say the same is to move the test as far as one of them.
        tested = weight / design_effect(decision.conversation_turns)
        change = self._learn_mean(model, y, predicted, weight, tested)
        self.quality_.learn_one(x, model, y, weight)
        if change is not None:
            # Labels of requests that prompts chose show the error of predictions, not the mean.
            now = float(self.posterior_.mean_[model])
            by = now - mean if predicted is None else change.shift
            self.quality_.shift(model, by, self.config.informative_labels)
            self.gate_.shift(model, by)

    def _learn_mean(
        self,
        model: int,
        y: float,
        predicted: float | None,
        weight: float = 1.0,
        tested: float = 1.0,
    ) -> Change | None:
        """Move the posterior by a label, or restart the model where labels show a change.

        ``tested`` is the weight of the label in the test of changes.
        """
        posterior, change = self.posterior_, None
        if self.config.detect:
            labels = float(posterior.labels_[model]) + weight
            total = float(posterior.sum_[model]) + weight * y
            change = self.detector_.observe(
                model, y, labels=labels, total=total, predicted=predicted, weight=tested
            )
        if change is None:
            posterior.learn(model, y, weight)
        else:
            posterior.restart_model(model, labels=self.config.informative_labels, mean=change.mean)
        return change

    def _price(self, history: History) -> None:
        """Price floors and budgets by the latest requests of a history."""
        first = max(0, len(history.features) - self.config.price_horizon_requests)
        rows: Sequence[int] = range(first, len(history.features))
        both = [self._estimate(history.features[r], int(history.input_tokens[r])) for r in rows]
        quality = np.array([self._adjust(prediction) for prediction, _ in both])
        cost = np.array([paid for _, paid in both])
        self.price_curve_.see_many(quality, cost)
        for pacing in self.pacing_.values():
            pacing.prepare(quality, cost)
