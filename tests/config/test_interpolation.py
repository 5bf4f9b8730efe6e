import pytest

from floorline.config.interpolation import BadReference, interpolate


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${A}", "1"),
        ("x${A}y${B}z", "x1y22z"),
        ("${NONE:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${NONE:-http://h:80/v1}", "http://h:80/v1"),
        ("$${A}", "${A}"),
        ("$$$$", "$$"),
        ("cost $5", "cost $5"),
        ("${REF}", "${A}"),
    ],
)
def test_references_are_filled(text, filled):
    assert interpolate(text, {"A": "1", "B": "22", "EMPTY": "", "REF": "${A}"}) == filled


@pytest.mark.parametrize("text", ["${", "${A", "${}", "${1A}", "${A B}", "${A-b}"])
def test_a_malformed_reference(text):
    with pytest.raises(BadReference, match="write \\$\\{NAME\\}"):
        interpolate(text, {"A": "1"})


def test_values_from_the_environment_have_the_type_of_their_field(more):
    settings = more(
        """
        seed: ${SEED}
        server: {port: "${PORT:-9000}", max_body: "${BODY}"}
        store: {store_prompts: "${STORE}", retention: "${DAYS}d"}
        telemetry: {otlp_endpoint: "${OTLP:-}"}
        """,
        SEED="7",
        BODY="1MiB",
        STORE="true",
        DAYS="2",
    )
    assert (settings.seed, settings.server.port, settings.server.max_body) == (7, 9000, 2**20)
    assert settings.store.store_prompts is True
    assert settings.store.retention == 2 * 86400
    assert settings.telemetry.otlp_endpoint is None
