"""What models refuse, by their names: no translated request fails for what it can do without.

Names that are not known get the fields that servers of the dialect have always taken. The versions
are those of the providers' migration guides (OpenAI: reasoning guide; Anthropic: guides to Claude
4.6, 4.7, 5 and 5.5).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CLAUDE = re.compile(
    r"claude-(?:(?P<family>opus|sonnet|haiku|fable|mythos)-)?"
    r"(?P<major>\d{1,2}|preview)(?:[.-](?P<minor>\d{1,2})(?!\d))?"
)
_OPENAI = re.compile(
    r"(?:^|[/.:_-])(?:(?P<o>o[1-9])(?![a-z0-9])|gpt-(?P<major>\d{1,2})(?:\.(?P<minor>\d{1,2}))?"
    r"|(?P<other>chatgpt|codex))"
)
_OPEN_GPT = "gpt-oss"
_REASONING = re.compile(
    r"gpt-oss|grok-(?:3-mini|[4-9])|gemini-(?:2\.5|[3-9])|gemini-(?:pro|flash)-latest"
)
"""Models of other makers that take ``reasoning_effort``."""
_REASONING_BACK = re.compile(r"deepseek|kimi|glm-|mimo")
"""Models whose documentation asks for the reasoning of the turns since the last question, as
``reasoning_content``; others refuse the field, among them OpenAI's, Mistral's and Groq's."""

_SIGNED = re.compile(r"gemini-(?:[3-9]|(?:pro|flash)-latest)")
"""Models of Google's that refuse a conversation whose calls of tools are not signed."""
_SHORT_IDS = re.compile(r"mistral|ministral|codestral|devstral|magistral|pixtral")


class ClaudeLimits(NamedTuple):
    """What a model behind Anthropic's API takes.

    Attributes
    ----------
    is_adaptive : bool
        Whether it thinks by an effort; else by a number of tokens.
    quiet_thinking : str
        Type of ``thinking`` that is nearest to none: "disabled" or "between_tools"; "" if the model
        always thinks, or thinks only if asked and refuses "disabled".
    always_thinks : bool
        Whether it thinks in any case; the least effort is then the nearest to none.
    takes_sampling, takes_both_samplings : bool
        Whether it takes ``temperature`` or ``top_p``, and both at once.
    takes_prefill : bool
        Whether the last turn may be the assistant's.
    takes_forced_tools : bool
        Whether ``tool_choice`` may demand a call.
    takes_later_system : bool
        Whether turns of the system may stand among the messages.
    takes_schema : bool
        Whether the form of the answer may be demanded.
    """

    is_adaptive: bool = False
    quiet_thinking: str = "disabled"
    always_thinks: bool = False
    takes_sampling: bool = True
    takes_both_samplings: bool = True
    takes_prefill: bool = True
    takes_forced_tools: bool = True
    takes_later_system: bool = False
    takes_schema: bool = True


_UNKNOWN_CLAUDE = ClaudeLimits()


def claude_limits(model: str) -> ClaudeLimits:
    """Return what a model behind Anthropic's API takes.

    Examples
    --------
    >>> claude_limits("claude-haiku-4-5-20251001").is_adaptive
    False
    >>> claude_limits("us.anthropic.claude-opus-4-8-v1:0").takes_sampling
    False
    >>> claude_limits("claude-sonnet-5-5").quiet_thinking
    'between_tools'
    """
    found = _CLAUDE.search(model.lower())
    if found is None:
        return _UNKNOWN_CLAUDE
    family = found["family"] or ""
    if found["major"] == "preview":
        major, minor = 5, 0
    else:
        # Old names have the version first, and dates behind it.
        major, minor = int(found["major"]), int(found["minor"] or 0)
    version = (major, minor)
    always = family in ("fable", "mythos") or (family == "opus" and version >= (5, 5))
    later = always or version >= (5, 0) or (family == "opus" and version >= (4, 7))
    if not later:
        adaptive = version >= (4, 6)
        return ClaudeLimits(
            is_adaptive=adaptive,
            takes_both_samplings=version < (4, 1),
            takes_prefill=not adaptive,
            takes_schema=version >= (4, 1),
        )
    if always or version < (5, 0):
        quiet = ""
    elif family == "sonnet" and version >= (5, 5):
        quiet = "between_tools"
    else:
        quiet = "disabled"
    return ClaudeLimits(
        is_adaptive=True,
        quiet_thinking=quiet,
        always_thinks=always,
        takes_sampling=False,
        takes_both_samplings=False,
        takes_prefill=False,
        takes_forced_tools=version < (5, 5) and not (always and version >= (5, 1)),
        takes_later_system=version >= (4, 8) and (family, version) != ("sonnet", (5, 0)),
    )


class ChatLimits(NamedTuple):
    """What a model behind an API of chat completions takes.

    Attributes
    ----------
    is_openai : bool
        Whether it is one of OpenAI's own.
    efforts : tuple of str
        Values of ``reasoning_effort`` from little to much; empty if it does not take the field.
    reasons : bool
        Whether it is one of OpenAI's reasoning models, which refuse ``max_tokens``, ``stop``,
        ``temperature`` and ``top_p``.
    wants_reasoning : bool
        Whether it takes its earlier reasoning back.
    wants_signatures : bool
        Whether its tool calls must come back with Google's signature of their thoughts.
    has_short_ids : bool
        Whether ids of tool calls have Mistral's form.
    """

    is_openai: bool = False
    efforts: tuple[str, ...] = ()
    reasons: bool = False
    wants_reasoning: bool = False
    wants_signatures: bool = False
    has_short_ids: bool = False


_LOW_TO_HIGH = ("low", "medium", "high")


def chat_limits(model: str) -> ChatLimits:
    """Return what a model behind an API of chat completions takes.

    Examples
    --------
    >>> chat_limits("gpt-4o-mini").efforts, chat_limits("openai/gpt-5.2").efforts[-1]
    ((), 'xhigh')
    >>> chat_limits("deepseek-chat").wants_reasoning, chat_limits("o3").reasons
    (True, True)
    """
    name = model.lower()
    if _OPEN_GPT not in name and (found := _OPENAI.search(name)):
        if found["o"]:
            return ChatLimits(True, _LOW_TO_HIGH, True)
        if found["other"]:
            return ChatLimits(True)
        version = (int(found["major"]), int(found["minor"] or 0))
        if version < (5, 0) or "chat" in name:
            return ChatLimits(True)
        if version < (5, 1):
            return ChatLimits(True, ("minimal", *_LOW_TO_HIGH), True)
        more = ("xhigh",) if version >= (5, 2) else ()
        return ChatLimits(True, ("none", *_LOW_TO_HIGH, *more), True)
    efforts = _LOW_TO_HIGH if _REASONING.search(name) else ()
    return ChatLimits(
        efforts=efforts,
        wants_reasoning=_REASONING_BACK.search(name) is not None,
        wants_signatures=_SIGNED.search(name) is not None,
        has_short_ids=_SHORT_IDS.search(name) is not None,
    )


_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def nearest_effort(effort: str, taken: tuple[str, ...]) -> str:
    """Return the effort that a model takes and that is nearest to the one that is asked for.

    Examples
    --------
    >>> nearest_effort("max", ("low", "medium", "high")), nearest_effort("none", ("low", "high"))
    ('high', 'low')
    """
    wanted = _EFFORTS.index(effort) if effort in _EFFORTS else _EFFORTS.index("medium")
    return min(taken, key=lambda one: abs(_EFFORTS.index(one) - wanted))
