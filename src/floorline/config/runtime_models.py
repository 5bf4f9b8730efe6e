"""The ``runtime_models`` section, and the loader of models that arrive over HTTP.

What arrives over HTTP is not the operator's file. It is JSON only, is bounded, refers to no
environment and to no files, and names keys and endpoints that the operator's file allows.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, WithJsonSchema

from floorline.config.addresses import BadUrl, Origin, never_called, read_origin
from floorline.config.base_url import URL_SCHEMA
from floorline.config.document import Location, Problem, quoted, shown
from floorline.config.explain import explain
from floorline.config.models import ModelSettings
from floorline.config.provider import LIBRARY_KINDS
from floorline.config.secrets import LoadContext, VariableName
from floorline.config.types import Count, Fix, Section, Text, cleaned, rule_error, value_error
from floorline.errors import ConfigError

MAX_MODEL_BYTES = 64 * 1024
"""Size of the description of one model: a hundred times that of one with all its fields."""
_MAX_VALUES = 500
"""Values in the description of a model, which has fewer than 50 fields."""

_ONLY_IN_FILE: Mapping[str, str] = {
    "api_key": "secrets are not kept in the store: name the key's environment variable in "
    "api_key_env, and list it under runtime_models in floorline.yaml",
    "api_key_file": "files are not read for models that are added over HTTP: name the key's "
    "environment variable in api_key_env, and list it under runtime_models in floorline.yaml",
    "proxy": "models that are added over HTTP are called without a proxy, so that their addresses "
    "are checked: add a model that needs a proxy to floorline.yaml",
    "headers": "secrets are not kept in the store: add a model that needs headers to "
    "floorline.yaml",
}
"""Fields that only models of the file have, with the fix."""

_URL_FIX = (
    "give scheme and host, such as https://api.example.com, http://10.0.0.5:8000, "
    "https://*.example.com or http://gpu-box:*, without a path"
)
_ENDPOINT = re.compile(
    r"(?P<scheme>https?)://(?P<any>\*\.)?(?P<rest>[^\s/?#*]+?)(?P<port>:\*)?/?",
    re.IGNORECASE,
)


def _split(url: str) -> tuple[Origin, bool, bool]:
    """Return an allowed origin, whether it stands for the names below it, and for all ports."""
    match = _ENDPOINT.fullmatch(url)
    if match is None:
        # What no endpoint can be has its own message.
        read_origin(url.replace("*.", "", 1).removesuffix("/").removesuffix(":*"))
        raise ValueError
    origin = read_origin(f"{match['scheme']}://{match['rest']}")
    below = match["any"] is not None
    if below and ("." not in origin.host or origin.host.replace(".", "").isdigit()):
        raise ValueError
    return origin, below, match["port"] is not None


def _allowed_url(url: str) -> str:
    try:
        origin, _, _ = _split(url)
    except BadUrl as error:
        raise value_error(error.wrong, _URL_FIX) from None
    why = never_called(origin)
    if why is not None:
        raise rule_error(f"{why} ({quoted(url)})", "remove it: no added model is called there")
    return url


class RuntimeEndpoint(Section):
    """Where a model that is added over HTTP may be, and which keys may be sent there."""

    url: Annotated[
        Text,
        BeforeValidator(cleaned),
        AfterValidator(_allowed_url),
        Fix(_URL_FIX),
        WithJsonSchema(URL_SCHEMA),
    ] = Field(
        description="Scheme, host and port that are allowed. Without a port: the scheme's own; "
        "with the port *: all. *.example.com stands for all names below example.com."
    )
    key_envs: list[VariableName] = Field(
        [],
        description="Environment variables that may be named in api_key_env of a model at this "
        "url: their values are sent there.",
    )

    def allows(self, origin: Origin) -> bool:
        """Whether a model may be at an origin."""
        allowed, below, any_port = _split(self.url)
        if origin.scheme != allowed.scheme or not (any_port or origin.port == allowed.port):
            return False
        if below:
            return origin.host.endswith("." + allowed.host)
        return origin.host == allowed.host


class RuntimeModelSettings(Section):
    """What models that are added over HTTP (``POST /v1/zoo/models``) may use."""

    endpoints: Annotated[
        list[RuntimeEndpoint],
        Fix("give a list: '- url: https://api.example.com', with key_envs if it needs a key"),
    ] = Field(
        [],
        description="Where these models may be, and which keys may be sent there; empty: no model "
        "can be added over HTTP.",
    )
    max_models: Count = Field(
        100, description="Largest number of models that are added or removed over HTTP."
    )

    def check(self, model: ModelSettings) -> Iterator[Problem]:
        """Find what a model that was added over HTTP may not use."""
        if model.kind in LIBRARY_KINDS:
            fix = "add a model of this kind to floorline.yaml: it may use keys of the environment"
            yield Problem(("kind",), f"is {quoted(model.kind)}", fix)
            return
        if model.endpoint is None:
            fix = "give the base URL of its API; it is not taken from defaults"
            yield Problem(("endpoint",), "is missing", fix)
            return
        origin = read_origin(model.endpoint)
        why = never_called(origin)
        if why is not None:
            fix = "give the base URL of a provider: no added model is called there"
            yield Problem(("endpoint",), f"{why} ({quoted(origin.host)})", fix)
            return
        allowing = [endpoint for endpoint in self.endpoints if endpoint.allows(origin)]
        if not allowing:
            fix = "give one under runtime_models.endpoints of floorline.yaml: " + (
                ", ".join(endpoint.url for endpoint in self.endpoints) or "none is listed"
            )
            where = f"{origin.scheme}://{origin.host}:{origin.port}"
            yield Problem(("endpoint",), f"is at {where}, which is not allowed", fix)


def load_runtime_model(
    data: bytes,
    rules: RuntimeModelSettings,
    *,
    name: str = "the body",
    environ: Mapping[str, str] = os.environ,
) -> ModelSettings:
    """Validate the description of a model that arrived over HTTP.

    Parameters
    ----------
    data
        JSON. No part of it is looked up: neither variables nor files.
    rules
        What the operator's file allows.
    name
        Name of the text in messages.
    environ
        Environment, of which only variables are read that the rules allow.

    Raises
    ------
    ConfigError
        If it breaks rules: one line for each broken rule.

    Examples
    --------
    >>> rules = RuntimeModelSettings(endpoints=[{"url": "https://*.example.com"}])
    >>> data = b'{"name": "small", "endpoint": "https://eu.example.com/v1"}'
    >>> load_runtime_model(data, rules).name
    'small'
    """
    given = _decode(data, name)
    problems = [
        Problem((field,), "is given", fix) for field, fix in _ONLY_IN_FILE.items() if field in given
    ]
    problems += _references(given)
    allowed = _allowed_keys(given, rules)
    variable = cleaned(given.get("api_key_env"))
    if isinstance(variable, str) and variable not in allowed:
        fix = "name one that runtime_models.endpoints lists as key_envs for this endpoint: " + (
            ", ".join(sorted(allowed)) or "there is none"
        )
        problems.append(Problem(("api_key_env",), f"is {quoted(variable)}", fix))
    # Nothing is looked up for what is refused, so that answers tell nothing of variables and files.
    _refuse(problems, name)
    known = {key: environ[key] for key in allowed if key in environ}
    try:
        model = ModelSettings.model_validate(given, context=LoadContext(known, Path()))
    except ValidationError as error:
        _refuse(explain(error, ModelSettings, {}), name)
        raise
    _refuse(list(rules.check(model)), name)
    model._added_over_http = True
    return model


def _allowed_keys(given: Mapping[str, Any], rules: RuntimeModelSettings) -> frozenset[str]:
    """Variables whose values may be sent to the endpoint."""
    endpoint = cleaned(given.get("endpoint"))
    if not isinstance(endpoint, str):
        return frozenset()
    try:
        origin = read_origin(endpoint)
    except ValueError:
        return frozenset()
    return frozenset(name for one in rules.endpoints if one.allows(origin) for name in one.key_envs)


def _decode(data: bytes, name: str) -> dict[str, Any]:
    fix = "send one JSON object with the fields of a model"
    if len(data) > MAX_MODEL_BYTES:
        raise ConfigError([f"{name} has more than {MAX_MODEL_BYTES:,} bytes: {fix}"])
    repeated: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            repeated.append(counts.most_common(1)[0][0])
        return found

    try:
        # msgspec refuses what the standard library accepts: NaN, lone surrogates, UTF-16.
        given = msgspec.json.decode(data)
        values = _count(given)
        if values <= _MAX_VALUES:
            given = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError, OverflowError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ConfigError([f"{name} is not readable as JSON ({reason}): {fix}"]) from None
    if values > _MAX_VALUES:
        raise ConfigError([f"{name} has more than {_MAX_VALUES} values: {fix}"])
    if repeated:
        raise ConfigError([f"{name} has the field {quoted(repeated[0])} twice: remove one of them"])
    if not isinstance(given, dict):
        raise ConfigError([f"{name} is no JSON object: {fix}"])
    return given


def _count(value: Any) -> int:
    """Number of values in a value; its depth is bounded by the decoder."""
    found, left = 0, [value]
    while left and found <= _MAX_VALUES:
        one = left.pop()
        found += 1
        if isinstance(one, dict):
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
    return found


def _references(given: Mapping[str, Any]) -> Iterator[Problem]:
    """Find texts that would refer to the environment in ``floorline.yaml``."""
    left: list[tuple[Location, Any]] = [((key,), value) for key, value in given.items()]
    while left:
        location, value = left.pop()
        if isinstance(value, dict):
            left.extend(((*location, key), inner) for key, inner in value.items())
        elif isinstance(value, list):
            left.extend(((*location, n), inner) for n, inner in enumerate(value))
        elif isinstance(value, str) and "${" in value:
            fix = "write the value itself: references are filled in in floorline.yaml only"
            yield Problem(location, f"is {quoted(value)}", fix)


def _refuse(problems: list[Problem], name: str) -> None:
    if problems:
        raise ConfigError([f"{name}: {shown(p.location)} {p.wrong}: {p.fix}" for p in problems])
