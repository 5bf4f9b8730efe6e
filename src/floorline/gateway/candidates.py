"""Which models a request may go to, and what bars the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from floorline.errors import (
    Bar,
    InvalidInput,
    NoModelCanServe,
    did_you_mean,
    listed,
    shown_limits,
)
from floorline.events import Decision
from floorline.gateway.auth import Auth, Caller
from floorline.gateway.chat_request import ChatBody
from floorline.gateway.errors import ApiError
from floorline.gateway.key_costs import KeyCosts
from floorline.gateway.upstreams import UpstreamError, Upstreams
from floorline.router import Router
from floorline.sla import SLA
from floorline.state.eligibility import unable
from floorline.zoo import Model

_OPEN = Bar("breaker", "circuit breaker open: its provider keeps failing")
_SUSPECTED = Bar(
    "breaker", "circuit breaker open at another replica, and another call is trying it here"
)
_FULL = Bar("busy", "all its places are taken (max_concurrency)")
_EXCLUDED = Bar("excluded", "excluded by the request")
_FAILED = Bar("failed", "its call failed")
_BLOCKED = frozenset({_OPEN, _FULL})
"""What bars a model whose call would be refused at once."""
_BLOCKED_RETRY_SECONDS = 5.0
"""Seconds after which a request is worth sending again whose only able models are blocked."""


class Bars(NamedTuple):
    """What bars models from a request, by name.

    Attributes
    ----------
    bars
        By the request, by earlier attempts or by their state.
    dear
        By the budget of the key.
    """

    bars: dict[str, Bar]
    dear: dict[str, Bar]

    @property
    def all(self) -> dict[str, Bar]:
        """Both together."""
        return {**self.bars, **self.dear}


class Candidates:
    """Says what bars models from a request; errors name only models that the caller may name.

    Parameters
    ----------
    router
        Has the models.
    upstreams
        Know which models cannot be called now.
    auth
        Writes the error of a key without money.
    """

    def __init__(self, router: Router, upstreams: Upstreams, auth: Auth) -> None:
        self._router = router
        self._upstreams = upstreams
        self._auth = auth

    def bars(
        self,
        chat: ChatBody,
        caller: Caller,
        sla: SLA,
        tried: Sequence[str],
        costs: KeyCosts | None,
        at: float,
    ) -> Bars:
        """Return what bars models beside what the router checks itself.

        Parameters
        ----------
        chat, caller, sla
            The request, who sent it, and its SLA.
        tried
            Models whose call for this request failed.
        costs
            What calls cost and what the key's budget has left; None without such a budget.
        at
            Time in seconds.

        Raises
        ------
        ApiError
            If the key's budget can pay for none of the models that can serve.
        """
        bars = self.excluded(chat, caller, tried)
        dear: dict[str, Bar] = {}
        if costs is not None:
            barred = self.unable(chat, sla, bars)
            dear = costs.too_dear(self._router.zoo, barred)
            if dear and len(dear) + len(barred) == len(self._router.zoo):
                raise self.out_of_budget(caller, {**barred, **bars, **dear})
        bars |= self.not_preferred(chat, sla, {**bars, **dear}, at)
        bars |= self.suspected(chat, sla, {**bars, **dear}, at)
        return Bars(bars, dear)

    def refusal(
        self, chat: ChatBody, caller: Caller, sla: SLA, error: NoModelCanServe, barred: Bars
    ) -> ApiError | NoModelCanServe:
        """Error of a request that no model can serve, for its caller.

        Parameters
        ----------
        chat, caller, sla
            As for ``bars``.
        error
            The router's error.
        barred
            What ``bars`` returned.
        """
        # What no time changes comes first.
        lasting = self.unable(chat, sla, chat.options.exclude)
        limits = {**error.limits, **barred.all, **lasting}
        if barred.dear:
            # Those that could serve it cost more than the key has left.
            return self.out_of_budget(caller, limits)
        return self.no_model(chat, caller, limits)

    def excluded(self, chat: ChatBody, caller: Caller, tried: Sequence[str]) -> dict[str, Bar]:
        """Return what bars models by the request, by earlier attempts or by their state.

        Context windows and capabilities are the router's to check. A key that may not name all
        models cannot find out by an error which ones there are.
        """
        zoo = self._router.zoo
        for name in chat.options.exclude:
            if name not in zoo and caller.models is None:
                fix = did_you_mean(name, zoo.names) + "name models of " + listed(zoo.names)
                raise InvalidInput("floorline.exclude", name, fix)
        bars = dict.fromkeys(chat.options.exclude, _EXCLUDED)
        bars |= dict.fromkeys(tried, _FAILED)
        needed = chat.input_tokens + chat.reserve
        blocked = self._upstreams.blocked(needed)
        if blocked and set(zoo.names) - set(bars) - set(blocked):
            bars = {**{name: self._block(name, needed) for name in blocked}, **bars}
        # If only blocked models are left, the error of the call has the seconds to wait.
        return bars

    def not_preferred(
        self, chat: ChatBody, sla: SLA, bars: Collection[str], at: float
    ) -> dict[str, Bar]:
        """Return what models lack that others have which can serve a request now.

        A model without tools leaves the results of earlier calls out of the prompt.

        Parameters
        ----------
        chat, sla
            The request and its SLA.
        bars
            Models that cannot serve.
        at
            Time in seconds, for the SLA's budget.
        """
        if not chat.prefers - chat.needs:
            return {}
        able = self._able(chat, sla, bars, at)
        lacking = [model.name for model in able if chat.prefers - model.capabilities]
        if len(lacking) == len(able):
            return {}
        text = "lacks " + listed(sorted(chat.prefers))
        return dict.fromkeys(lacking, Bar("capability", text))

    def suspected(
        self, chat: ChatBody, sla: SLA, bars: Collection[str], at: float
    ) -> dict[str, Bar]:
        """Return which models another replica cannot call, as long as others can serve.

        Parameters are those of ``not_preferred``.
        """
        suspected = self._upstreams.suspected()
        if not suspected:
            return {}
        able = {model.name for model in self._able(chat, sla, bars, at)}
        return dict.fromkeys(able & suspected, _SUSPECTED) if able - suspected else {}

    def _able(self, chat: ChatBody, sla: SLA, bars: Collection[str], at: float) -> list[Model]:
        """Models that can serve a request now, and whose call the SLA's budget can pay for."""
        zoo = self._router.zoo
        barred = self.unable(chat, sla, bars)
        costs, _ = self._router.call_costs(chat.input_tokens, chat.limits)
        paid = costs <= self._router.budget_left(sla.name, at=at)
        models = zip(zoo.models, paid, strict=True)
        return [model for model, fits in models if fits and model.name not in barred]

    def too_small(self, failed: Decision, failure: UpstreamError) -> list[str]:
        """Models that cannot serve a request that was too long for another: no larger window.

        A model whose window is not known may serve.

        Parameters
        ----------
        failed, failure
            The decision whose call failed, and how.
        """
        meaning = failure.meaning
        if meaning is None or meaning.reason != "context_length_exceeded":
            return []
        windows = {model.name: self._window(model) for model in self._router.zoo.models}
        refused = max(windows.get(failed.model) or 0, (meaning.requested or 1) - 1)
        return [name for name, window in windows.items() if window and window <= refused]

    def _window(self, model: Model) -> int | None:
        learned = self._upstreams.windows.tokens(model.name)
        known = [size for size in (model.context_window, learned) if size]
        return min(known, default=None)

    def unable(self, chat: ChatBody, sla: SLA, exclude: Collection[str]) -> dict[str, Bar]:
        """Return what bars each model that cannot serve a request at any time."""
        tokens = chat.input_tokens + chat.reserve
        return unable(self._router.zoo, sla, tokens, chat.needs, exclude)

    def no_model(
        self, chat: ChatBody, caller: Caller, limits: Mapping[str, str]
    ) -> ApiError | NoModelCanServe:
        """Error of a request that no model can serve; it names only models that the key may."""
        known = self.known(limits, caller)
        if not _BLOCKED.isdisjoint(limits.values()):
            return ApiError(
                503,
                f"no model can serve the request now{shown_limits(known)}: send it again later",
                code="no_model_available",
                retry_after=_BLOCKED_RETRY_SECONDS,
            )
        asked = {"input_tokens": chat.input_tokens, "max_tokens": chat.reserve}
        return NoModelCanServe(asked | {"needs": sorted(chat.needs)}, known)

    def known(self, limits: Mapping[str, str], caller: Caller) -> dict[str, str]:
        """Those of the models that a caller may name, in zoo order."""
        names = self._router.zoo.names
        return {n: limits[n] for n in names if n in limits and caller.may_call(n)}

    def out_of_budget(self, caller: Caller, bars: Mapping[str, str]) -> ApiError:
        """Error of a request that the budget of its key cannot pay for."""
        error = self._auth.out_of_budget(caller.key)
        text = error.text + shown_limits(self.known(bars, caller))
        return ApiError(error.status, text, code=error.code, headers=error.headers)

    def _block(self, model: str, needed: int) -> Bar:
        """Return why a call of a model would be refused now."""
        if self._upstreams.health()[model].breaker != "closed":
            return _OPEN
        if model in self._upstreams.windows.refused_by(needed):
            text = f"its provider refused a request of {needed:,} tokens or less as too long"
            return Bar("window", text)
        return _FULL
