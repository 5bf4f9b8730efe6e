"""Errors of calls."""

import pickle

from floorline.gateway.upstreams import UpstreamError


def test_errors_survive_pickling():
    error = UpstreamError(
        "text", "status", status=503, retry_after=2.0, fallback=False, retryable=True
    )
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), vars(again)) == (str(error), vars(error))
