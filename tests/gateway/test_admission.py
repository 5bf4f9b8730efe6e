"""The limit on requests that are served at a time."""

import pytest

from floorline.gateway.admission import AdmissionControl
from floorline.gateway.errors import ApiError


def test_requests_above_the_limit_are_refused_and_counted():
    admission = AdmissionControl(lambda: 2)
    with admission.admit(), admission.admit():
        assert admission.in_flight == 2
        for _ in range(3):
            with pytest.raises(ApiError) as caught, admission.admit():
                pass
    assert (admission.in_flight, admission.refused) == (0, 3)
    assert (caught.value.status, caught.value.code) == (429, "overloaded")
    assert caught.value.headers == {"retry-after": "1"}
    assert "serves 2 requests already (server.max_in_flight)" in caught.value.text
    with admission.admit():
        assert admission.in_flight == 1


def test_a_request_that_fails_is_no_longer_in_flight():
    admission = AdmissionControl(lambda: 1)
    with pytest.raises(KeyError), admission.admit():
        raise KeyError
    assert admission.in_flight == 0


def test_a_reload_may_change_the_limit():
    limits = [1]
    admission = AdmissionControl(lambda: limits[0])
    with admission.admit():
        with pytest.raises(ApiError), admission.admit():
            pass
        limits[0] = 2
        with admission.admit():
            assert admission.in_flight == 2
