"""Types of fields: durations and sizes."""

import pytest

from floorline.config.types import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("1.5 h", 5400.0),
        ("2m", 120.0),
        ("30d", 2_592_000.0),
        ("1w", 604_800.0),
        ("10 S", 10.0),
        ("30 days", 2_592_000.0),
        ("1h30m", 5400.0),
        ("1 hour 30 min", 5400.0),
        (".5s", 0.5),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "d", "30 moons", "-1s", "1h30", "1e3s", "5M", "1,5s", "s1"]
)
def test_a_text_that_is_no_duration(text):
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("written", "seconds"), [("12h", 43_200.0), (60, 60.0), ("'60'", 60.0), (0.5, 0.5)]
)
def test_a_duration_in_the_file_is_a_text_or_seconds(more, written, seconds):
    assert more(f"feedback: {{max_age: {written}}}").feedback.max_age == seconds


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("20MiB", 20 * 2**20),
        ("1.5 kB", 1500),
        (512, 512),
        ("'512'", 512),
        ("2 GB", 2 * 10**9),
        ("64Ki", 65_536),
        ("10 bytes", 10),
        ("'1_000'", 1000),
    ],
)
def test_a_size_in_the_file_is_a_text_or_bytes(more, written, size):
    assert more(f"server: {{max_body: {written}}}").server.max_body == size


@pytest.mark.parametrize("written", ["20 apples", 0, -5, 1.5, "yes", ".inf", ".nan", "[1]", "0.1B"])
def test_a_bad_size_is_refused_with_a_fix(wrong, written):
    message = wrong(f"server: {{max_body: {written}}}")
    assert message.startswith("server.max_body is ")
    assert message.endswith(": give bytes, 1 or more, or a text such as 20MiB, at most 1 PiB")
