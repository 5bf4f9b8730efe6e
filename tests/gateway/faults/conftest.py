import pytest
from tests.support.faulty_provider import FaultyProvider
from tests.support.live_gateway import InThread, wait_until
from tests.support.stage import Stage, settings_of

from floorline.config import BreakerSettings


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One gateway for all faults that leave nothing behind."""
    provider = InThread(FaultyProvider())
    begun = Stage(settings_of(provider.value), provider.value, tmp_path_factory.mktemp("shared"))
    yield begun
    wait_until(begun.at_rest)
    begun.stop()
    provider.stop()


@pytest.fixture
def stage(tmp_path):
    """Start a gateway before a faulty provider; in the end no call and no connection is left."""
    provider = InThread(FaultyProvider())
    started = []

    def begin(**given):
        started.append(Stage(settings_of(provider.value, **given), provider.value, tmp_path))
        return started[-1]

    yield begin
    for one in started:
        wait_until(one.at_rest)
        one.stop()
    wait_until(lambda: provider.value.open == 0)
    provider.stop()


@pytest.fixture
def three(stage):
    """A gateway that serves the cheapest of small, medium and large that can serve."""

    def begin(by_model, settings=None, **given):
        usual = {
            "breaker": BreakerSettings().model_dump(by_alias=True),
            # As many as the provider's answers have, so that the order of prices stays.
            "typical_output_tokens": 9,
        }
        begun = stage(policy="cheapest", model=usual | given, **(settings or {}))
        begun.provider.by_model = by_model
        return begun

    return begin
