"""The one rule of all tables for which labels a policy gets when a share φ of them is revealed.

Every called model's label is revealed with probability φ: the feedback model is ``full+sparse:φ``.
Policies with one call per request thus get φ of the served answers' labels. Policies that explore
by querying all models get φ of those labels too.

MESS+ as its public code has it is the one exception: sparsity thins what its queue sees, and its
predictor gets every label of an exploration (``queue_label_share`` with full feedback).
"""

from typing import Any, NamedTuple

AS_CODE = "mess_plus, code"
"""Name in tables of MESS+ as its public code has it."""


class UnderTest(NamedTuple):
    """A policy, its parameters and the feedback model of its replays."""

    policy: str
    feedback: str
    parameters: dict[str, Any]


def feedback(share):
    """Return the feedback model under which a share of the labels is revealed."""
    return "full" if share == 1.0 else f"full+sparse:{share:g}"


def under_test(name, share, parameters=None):
    """Return what to replay for a policy's name in tables at a share of labels."""
    given = dict(parameters or {})
    if name == AS_CODE:
        code = {"reading": "code", "queue_label_share": share}
        return UnderTest("mess_plus", "full", code | given)
    return UnderTest(name, feedback(share), given)
