"""Paths of requests: spellings that mean the same, and what a wrong one should have been."""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.types import Scope

_SLASHES = re.compile("//+")
_MAX_SHOWN = 200
"""Characters of a path or a host that an error repeats."""
_NOT_SERVED = (
    "audio",
    "batches",
    "conversations",
    "files",
    "images",
    "moderations",
    "videos",
)
"""First words of paths of OpenAI's API, and of Anthropic's, that have no endpoint here."""
_CHAT = "/v1/chat/completions"
_AZURE = "/openai/"
_DEPLOYMENT = re.compile(r"deployments/(?P<name>.+?)/(?P<path>(?:chat/)?completions|embeddings)")
DEPLOYMENT = "azure_deployment"
"""Name in ASGI's scope of the deployment in a path of Azure OpenAI's."""


def unify(scope: Scope, root_path: str) -> None:
    """Give a request the path that its endpoint has.

    A proxy may or may not remove the path below which it serves the gateway. Slashes that are
    doubled or at the end are dropped: a redirect would lose the bodies of clients that follow none.

    Parameters
    ----------
    scope
        ASGI's scope of the request; changed.
    root_path
        Path below which a proxy serves the gateway; "" for none.
    """
    path = scope["path"]
    if root_path:
        scope["app_root_path"] = root_path
        if path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/"):
            path = path[len(root_path) :] or "/"
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if path.endswith("/") and path != "/":
        path = path[:-1]
    if path.startswith(_AZURE):
        path = _unify_azure(scope, path)
    scope["path"] = path


def _unify_azure(scope: Scope, path: str) -> str:
    """Return the path that stands for one of Azure OpenAI's; ``scope`` gets the deployment's name.

    Azure has ``/openai/v1/…`` like OpenAI's, ``/openai/deployments/NAME/…``, where the name is that
    of the model, and ``/openai/…`` for what names its model in the body.
    """
    rest = path[len(_AZURE) :]
    found = _DEPLOYMENT.fullmatch(rest)
    if found is not None:
        scope[DEPLOYMENT] = found["name"]
        rest = found["path"]
    return f"/{rest}" if rest.startswith("v1/") else f"/v1/{rest}"


def base_url(scope: Scope) -> str:
    """Return the base URL that the client of a request should have."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    shown = host.decode("latin-1")[:_MAX_SHOWN] or "HOST:PORT"
    return f"{scope['scheme']}://{shown}{scope.get('app_root_path', '')}/v1"


def explain_missing(scope: Scope, known: Collection[str]) -> str:
    """Say what is wrong with a path that has no endpoint.

    Parameters
    ----------
    scope
        ASGI's scope of the request.
    known
        Paths of all endpoints, with parameters in braces.
    """
    whole = {known_path for known_path in known if "{" not in known_path}
    named = tuple(known_path.partition("{")[0] for known_path in known if "{" in known_path)
    path = scope["path"]
    missing = f"there is no path {path[:_MAX_SHOWN]}"
    words = [word for word in path.split("/") if word]
    # The longest end of the path that is an endpoint's: /v1/v1/models, /api/chat/completions.
    for start in range(len(words)):
        end = "/".join(words[start:])
        for candidate in (f"/{end}", f"/v1/{end}"):
            if candidate in whole or candidate.startswith(named):
                return (
                    f"{missing}, but {candidate}: set the base URL of the client "
                    f"(base_url, baseURL or OPENAI_BASE_URL) to {base_url(scope)}"
                )
    after = words[words.index("v1") + 1 :] if "v1" in words else words
    if after[:1] and after[0] in _NOT_SERVED:
        return f"{missing}: use chat completions (POST {_CHAT}); see /openapi.json for all paths"
    return f"{missing}: see /openapi.json; the base URL of clients is {base_url(scope)}"
