"""Verdicts of certificates."""

from __future__ import annotations

from typing import Literal, get_args

Verdict = Literal["kept", "unreachable", "broken", "at risk", "unknown"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""All verdicts; of those that hold, a certificate gives the first one."""
