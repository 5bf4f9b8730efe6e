"""The settings as a whole."""

from floorline.sla import SLA


def test_models_and_slas_are_enough(more):
    settings = more("")
    assert settings.as_zoo().names == ("small", "large")
    assert settings.as_slas() == [SLA("gold", floor=0.9)]
    assert settings.auth == "keys"
    assert settings.memory == 5_000


def test_an_empty_section_counts_as_left_out(more):
    assert more("server:\ntelemetry:") == more("")
