import time

import pytest

from floorline.cli.options import age, moment, store_url
from floorline.errors import InvalidInput


def test_a_url_that_is_given_is_taken_without_a_configuration(tmp_path):
    assert store_url("sqlite:///x.db", tmp_path / "absent.yaml") == "sqlite:///x.db"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("2m", 120), ("1.5h", 5400)])
def test_ages(text, seconds):
    assert age(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "3", "-3d", "3y"])
def test_ages_that_are_none(text):
    with pytest.raises(InvalidInput, match="older-than"):
        age(text)


def test_moments_are_dates_times_and_ages():
    assert moment("since", "1970-01-02") == 86400
    assert moment("since", "1970-01-01T01:00+01:00") == 0
    assert moment("since", "1h") == pytest.approx(time.time() - 3600, abs=5)
    with pytest.raises(InvalidInput, match="since"):
        moment("since", "yesterday")
