"""Floorline as the routing strategy of LiteLLM's Router, and as a hook of its proxy.

A request to ``floorline/SLA`` goes to the model that a running gateway chooses. LiteLLM calls it,
and this module reports cost, tokens and times of the call. Other models are left to LiteLLM.
"""

from __future__ import annotations

import asyncio
import logging
import os
from datetime import datetime
from typing import Any

from floorline._extras import needs

with needs("litellm", "floorline.plugins.litellm"):
    import litellm
    from litellm.integrations.custom_logger import CustomLogger
    from litellm.types.router import CustomRoutingStrategyBase

    from floorline.plugins.decision_client import DecisionClient, Refused, Routed

PREFIX = "floorline/"
"""Begins the name of an SLA where LiteLLM wants the name of a model."""
_FIELDS = (
    "tools",
    "tool_choice",
    "functions",
    "response_format",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "reasoning_effort",
)
"""What a decision depends on beside the messages."""
_LOG = logging.getLogger("floorline.plugins.litellm")


class FloorlineHook(CustomLogger):  # type: ignore[misc, unused-ignore]
    """Hook of LiteLLM: asks for decisions of the proxy's requests, and reports all outcomes.

    Parameters
    ----------
    url
        URL of the gateway; the variable ``FLOORLINE_URL`` without it.
    key
        API key of the gateway; the variable ``FLOORLINE_API_KEY`` without it.
    fallback
        Model that serves while no gateway answers; None to refuse requests then.
    """

    def __init__(
        self, url: str | None = None, key: str | None = None, *, fallback: str | None = None
    ) -> None:
        super().__init__()
        given = url or os.environ.get("FLOORLINE_URL") or "http://127.0.0.1:8080"
        self.client = DecisionClient(given, key)
        # LiteLLM takes hooks of one class for the same unless a public text or number differs.
        self.url = self.client.url
        self._fallback = fallback

    def decide(
        self,
        model: str,
        messages: list[dict[str, Any]] | None,
        request: dict[str, Any],
        options: dict[str, Any],
    ) -> Routed:
        """Ask which model should serve; an empty id means that no gateway answered.

        Parameters
        ----------
        model
            ``floorline/`` and the name of an SLA.
        messages
            Messages of the chat.
        request
            The other fields of the request.
        options
            Fields ``floor``, ``exclude`` and ``session`` of the decision.

        Raises
        ------
        litellm.BadRequestError, litellm.ServiceUnavailableError
            If the gateway refuses the request, or does not answer.
        """
        body: dict[str, Any] = {"model": model, "messages": messages or [], "floorline": options}
        body |= {name: request[name] for name in _FIELDS if request.get(name) is not None}
        try:
            return self.client.route(body)
        except Refused as error:
            away = error.status >= 500
            if away and self._fallback is not None:
                _LOG.warning("%s; %s serves", error, self._fallback)
                return Routed("", self._fallback)
            kind = litellm.ServiceUnavailableError if away else litellm.BadRequestError
            raise kind(message=str(error), model=model, llm_provider="floorline") from error

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Any
    ) -> dict[str, Any]:
        """Put the chosen model into a request to the proxy."""
        model = data.get("model")
        if not (isinstance(model, str) and model.startswith(PREFIX)):
            return data
        options = data.pop("floorline", None) or {}
        found = await asyncio.to_thread(self.decide, model, data.get("messages"), data, options)
        data["model"] = found.model
        data["metadata"] = {**(data.get("metadata") or {}), **note_of(found, retried=True)}
        return data

    async def async_post_call_response_headers_hook(
        self, data: dict[str, Any], *given: Any, **named: Any
    ) -> dict[str, str] | None:
        """Tell clients of the proxy the decision, for their feedback."""
        made = _note(data)
        return {"x-floorline-decision": made["id"]} if made else None

    async def async_post_call_failure_hook(
        self, request_data: dict[str, Any], original_exception: Exception, *given: Any, **named: Any
    ) -> None:
        """Report a request to the proxy that failed after all tries."""
        await asyncio.to_thread(self.report_failure, request_data, original_exception)

    def report_failure(self, request: dict[str, Any], error: Exception) -> None:
        """Report that nothing answered a request; one without a decision is left out.

        Parameters
        ----------
        request
            Fields of the request.
        error
            What LiteLLM says.
        """
        made = _note(request)
        if made:
            self._report(id=made["id"], error=str(error))

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Report an answer."""
        await asyncio.to_thread(self.log_success_event, kwargs, response_obj, start_time, end_time)

    def log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Report an answer."""
        metadata = _metadata(kwargs)
        made = metadata.get("floorline_decision")
        if not made:
            return
        served = metadata.get("model_group")
        if made["retried"] and served not in (None, made["model"]):
            # Its label would be one of another model.
            self._report(id=made["id"], error=f"LiteLLM fell back to {served}")
            return
        usage = getattr(response_obj, "usage", None)
        details = getattr(usage, "prompt_tokens_details", None)
        first = kwargs.get("completion_start_time") if kwargs.get("stream") else None
        self._report(
            id=made["id"],
            cost=kwargs.get("response_cost"),
            input_tokens=getattr(usage, "prompt_tokens", None),
            output_tokens=getattr(usage, "completion_tokens", None),
            cached_tokens=getattr(details, "cached_tokens", None),
            latency=_seconds(start_time, end_time),
            first_token=_seconds(start_time, first),
            completion=getattr(response_obj, "id", None),
        )

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Report a call that failed."""
        await asyncio.to_thread(self.log_failure_event, kwargs, response_obj, start_time, end_time)

    def log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Report a call that failed, if the next try has a decision of its own."""
        made = _metadata(kwargs).get("floorline_decision")
        if made and not made["retried"]:
            error = str(kwargs.get("exception") or "the call failed")
            self._report(id=made["id"], error=error, latency=_seconds(start_time, end_time))

    def _report(self, *, cost: float | None = None, **fields: Any) -> None:
        try:
            self.client.outcome(cost=max(cost or 0.0, 0.0), **fields)
        except Refused as error:
            _LOG.warning("the outcome of decision %s is lost: %s", fields["id"], error)


class FloorlineStrategy(CustomRoutingStrategyBase):  # type: ignore[misc, unused-ignore]
    """Routing strategy of LiteLLM's Router that asks a gateway.

    Each try of a request has a decision of its own, without the models that failed before. Among
    several deployments of the chosen model the Router chooses as it would without Floorline.

    Parameters
    ----------
    router
        The Router whose deployments serve.
    hook
        Asks the gateway.
    """

    def __init__(self, router: litellm.Router, hook: FloorlineHook) -> None:
        self._router = router
        self._hook = hook

    async def async_get_available_deployment(
        self,
        model: str,
        messages: list[dict[str, Any]] | None = None,
        input: str | list[Any] | None = None,
        specific_deployment: bool | None = False,
        request_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Return the deployment that should serve."""
        given = request_kwargs if request_kwargs is not None else {}
        if model.startswith(PREFIX):
            model = await asyncio.to_thread(self._chosen, model, messages, given)
        try:
            return await type(self._router).async_get_available_deployment(
                self._router,
                model=model,
                messages=messages,
                input=input,
                specific_deployment=specific_deployment,
                request_kwargs=given,
            )
        except Exception as error:
            await asyncio.to_thread(self._hook.report_failure, given, error)
            raise

    def get_available_deployment(
        self,
        model: str,
        messages: list[dict[str, Any]] | None = None,
        input: str | list[Any] | None = None,
        specific_deployment: bool | None = False,
        request_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Return the deployment that should serve."""
        given = request_kwargs if request_kwargs is not None else {}
        if model.startswith(PREFIX):
            model = self._chosen(model, messages, given)
        try:
            return type(self._router).get_available_deployment(
                self._router,
                model=model,
                messages=messages,
                input=input,
                specific_deployment=specific_deployment,
                request_kwargs=given,
            )
        except Exception as error:
            self._hook.report_failure(given, error)
            raise

    def _chosen(
        self, model: str, messages: list[dict[str, Any]] | None, request: dict[str, Any]
    ) -> str:
        metadata = request.setdefault("metadata", {})
        # All tries of a request share this list, because they share the metadata.
        tried = metadata.setdefault("floorline_tried", [])
        options = dict(metadata.get("floorline") or {})
        options["exclude"] = [*options.get("exclude", []), *tried]
        found = self._hook.decide(model, messages, request, options)
        tried.append(found.model)
        # A dictionary of this try's own: the failure of the one before may be reported later.
        request["metadata"] = {**metadata, **note_of(found, retried=False)}
        return found.model


def use_floorline(
    router: litellm.Router,
    url: str | None = None,
    key: str | None = None,
    *,
    fallback: str | None = None,
) -> FloorlineHook:
    """Let a gateway choose for requests of a Router to ``floorline/SLA``.

    Parameters
    ----------
    router
        LiteLLM's Router; the names of its models are those of the gateway's.
    url, key, fallback
        As for ``FloorlineHook``.

    Returns
    -------
    FloorlineHook
        Its ``client.feedback`` sends feedback.
    """
    hook = FloorlineHook(url, key, fallback=fallback)
    litellm.logging_callback_manager.add_litellm_callback(hook)
    router.set_custom_routing_strategy(FloorlineStrategy(router, hook))
    return hook


def note_of(found: Routed, *, retried: bool) -> dict[str, Any]:
    """Return the metadata that leads from a call back to its decision.

    Parameters
    ----------
    found
        The decision.
    retried
        Whether several tries share it.
    """
    if not found.id:
        return {"floorline_decision": None}
    made = {"id": found.id, "model": found.model, "retried": retried}
    return {"floorline_decision": made}


def _metadata(kwargs: dict[str, Any]) -> dict[str, Any]:
    return (kwargs.get("litellm_params") or {}).get("metadata") or {}


def _note(data: dict[str, Any]) -> dict[str, Any] | None:
    return (data.get("metadata") or {}).get("floorline_decision")


def _seconds(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else max((end - start).total_seconds(), 0.0)
