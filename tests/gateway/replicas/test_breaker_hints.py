"""What replicas tell each other of circuit breakers, and what they make of it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.live_gateway import MODELS, write_settings
from tests.support.replica_processes import Processes, ask
from tests.support.tcp_proxy import TcpProxy

from floorline.gateway.replicas.breaker_hints import BREAKERS, BreakerHints, reports_of
from floorline.gateway.replicas.breaker_hints import MODELS as MODEL_COUNT
from floorline.gateway.upstreams import OpenBreaker
from floorline.replication.members import Member


class Upstreams:
    """Takes note of what is suspected."""

    def __init__(self, open_breakers=()):
        self.suspicions = []
        self._open = list(open_breakers)

    def suspect(self, model, seconds):
        self.suspicions.append((model, seconds))

    def open_breakers(self):
        return self._open


def member(*breakers, id="b", age=1.0, models=5, **status):
    return Member(
        id, age, {"host": "web-2", MODEL_COUNT: models, BREAKERS: list(breakers), **status}
    )


def opened(model="large", seconds=8.0, opening=1, cause="status 503"):
    return {"model": model, "seconds": seconds, "opening": opening, "cause": cause}


def test_a_model_is_suspected_once_for_each_opening():
    upstreams = Upstreams()
    hints = BreakerHints(upstreams, "a")
    for _ in range(3):
        hints.take([member(opened()), member(opened("small"), id="a")])
    assert upstreams.suspicions == [("large", 7.0)]
    hints.take([member(opened(opening=2))])
    hints.take([member(opened(opening=2)), member(opened(opening=2), id="c")])
    assert upstreams.suspicions == [("large", 7.0)] * 3
    assert [report.replica for report in hints.reports] == ["b", "c"]
    assert "replica b on web-2 has an open circuit breaker for model 'large' (status 503)" in (
        hints.warnings()
    )
    hints.take([])
    assert hints.reports == []


def test_a_replica_all_of_whose_models_fail_is_shown_and_not_believed():
    upstreams = Upstreams()
    hints = BreakerHints(upstreams, "a")
    hints.take([member(opened("small"), opened("large"), models=2)])
    assert upstreams.suspicions == []
    assert len(hints.reports) == 2
    assert all("its network may be broken" in text for text in hints.warnings())
    # One that has a single model cannot tell the two cases apart.
    hints.take([member(opened("large"), models=1)])
    assert upstreams.suspicions == [("large", 7.0)]


def test_what_is_published_is_read():
    breaker = OpenBreaker("large", 8.0, 3, "connect")
    published = BreakerHints(Upstreams([breaker] * 500), "b").published()
    assert len(published) == 100
    read = reports_of(Member("b", 0.0, msgspec.json.decode(msgspec.json.encode({
        BREAKERS: published[:1], MODEL_COUNT: 5,
    }))))  # fmt: skip
    assert [report.breaker for report in read] == [breaker]


def test_a_hint_ends_with_the_opening_and_with_its_replica():
    assert reports_of(member(opened(seconds=8.0), age=8.5)) == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
_BREAKERS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "model": st.just("large") | _JSON,
            "seconds": st.floats() | _JSON,
            "opening": st.integers() | _JSON,
            "cause": st.text(max_size=400) | _JSON,
        },
    ),
    max_size=130,
)


@given(breakers=_BREAKERS | _JSON, models=_JSON, host=_JSON, age=st.floats(0.0, 1e6))
def test_no_status_of_another_version_breaks_anything(breakers, models, host, age):
    found = reports_of(Member("b", age, {BREAKERS: breakers, MODEL_COUNT: models, "host": host}))
    assert len(found) <= 100
    for report in found:
        assert 0.0 < report.breaker.seconds < float("inf")
        assert len(report.breaker.cause) <= 200
        assert len(report.breaker.model) <= 200
        assert isinstance(report.host, str)


@pytest.fixture
def two(empty_postgres, provider, tmp_path):
    """Two servers that reach their provider by a proxy each, and the proxies."""
    host, port = provider.removeprefix("http://").split(":")
    proxies = [TcpProxy((host, int(port))) for _ in range(2)]
    made = None
    for name, proxy in zip("ab", proxies, strict=True):
        # One model goes through the proxy, the others reach their provider in any case.
        text = write_settings(
            provider,
            store={"url": empty_postgres},
            replicas={"enabled": True, "lease": "1s"},
        )
        written = msgspec.json.decode(text)
        written["models"][0]["endpoint"] = f"http://127.0.0.1:{proxy.port}/v1"
        written["models"][0]["breaker"] = {"failures": 3, "open_for": "120s"}
        text = msgspec.json.encode(written).decode()
        if made is None:
            made = Processes(tmp_path, text, empty_postgres)
            made.learn()
        made.text = text
        made.serve(name)
    yield made, proxies
    made.stop()
    for proxy in proxies:
        proxy.close()


def breaker_of(replica):
    lines = replica.http.get("/metrics").text.splitlines()
    prefix = "floorline_breaker_state{"
    states = [line for line in lines if line.startswith(prefix) and f'"{MODELS[0]}"' in line]
    return next(
        line.split('floorline_breaker_state="')[1].split('"')[0]
        for line in states
        if line.endswith(" 1.0")
    )


def reported(replica):
    warnings = replica.http.get("/readyz").json()["warnings"]
    return any("has an open circuit breaker for model" in text for text in warnings)


def fail(made, replica, proxy):
    """Let the breaker of a server open."""
    proxy.refuses = True
    proxy.cut()
    for _ in range(3):
        assert ask(replica, model=MODELS[0]).status_code >= 500
    # Metrics are computed at most once a second.
    made.until(lambda: breaker_of(replica) == "open")


@pytest.mark.slow
def test_a_replica_needs_one_failure_where_another_had_several(two):
    made, (of_a, of_b) = two
    a, b = made.replicas["a"], made.replicas["b"]
    fail(made, a, of_a)
    made.until(lambda: reported(b))
    assert breaker_of(b) == "closed"
    of_b.refuses = True
    of_b.cut()
    assert ask(b, model=MODELS[0]).status_code >= 500
    made.until(lambda: breaker_of(b) == "open")


@pytest.mark.slow
def test_a_replica_whose_network_is_broken_takes_no_model_from_the_others(two):
    made, (of_a, _) = two
    a, b = made.replicas["a"], made.replicas["b"]
    fail(made, a, of_a)
    made.until(lambda: reported(b))
    for number in range(5):
        assert ask(b, f"Question {number}", model=MODELS[0]).status_code == 200
    assert breaker_of(b) == "closed"
