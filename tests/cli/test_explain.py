import io
import json

import msgspec
import pytest
from rich.console import Console
from tests.support.gateway_fixtures import (
    administered,
    gateway,
    provider,
    start,
    start_administered,
)

from floorline.cli.app import main
from floorline.cli.explanation_view import draw
from floorline.state.explanation import Candidate, Explanation, Step

__all__ = ["administered", "gateway", "provider", "start", "start_administered"]

ODD = Explanation(
    id="d1",
    at=1.8e9,
    sla="gold",
    floor=0.9,
    policy="primal_dual",
    rule="static mix",
    model="a-model-of-a-very-long-name-from-a-provider-far-away",
    explored=False,
    tenant="acme",
    key="k1",
    session="\x1b[2Jtalk",
    input_tokens=1234,
    expected_quality=0.91,
    expected_cost=0.000123,
    multipliers={"surplus": -2.5, "optimism_sds": 1.3},
    candidates=[
        Candidate(
            model="a-model-of-a-very-long-name-from-a-provider-far-away",
            quality=0.91,
            cost=0.000123,
            score=0.1,
            propensity=0.99,
            served=True,
            called=True,
            reason="served",
            explanation="it has the lowest score, 0.1, of the models that may serve",
        ),
        Candidate(model="other", reason="breaker", explanation="circuit breaker open [red]x[/red]"),
    ],
    timeline=[
        Step(at=1.8e9, kind="decision", model="m", text="m chosen"),
        Step(at=1.8e9 + 1.5, kind="outcome", model="m", text="the call failed: \x1b[31mno"),
        Step(at=1.8e9 + 600, kind="feedback", model="m", text="score 1 of m from user"),
    ],
    summary="m serves.",
)


def shown(found, width=80):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(draw(found))
    return console.file.getvalue()


def answered(live):
    """A decision with feedback; its id and that of its completion."""
    answer = live.chat()
    decision = answer.headers["x-floorline-decision"]
    live.http.post("/v1/feedback", json={"id": decision, "satisfied": True})
    live.call(live.gateway.store.flush)
    return decision, answer.json()["id"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_an_explanation_fits_the_terminal(width):
    text = shown(ODD, width)
    assert max(map(len, text.splitlines())) <= width
    whole = " ".join(text.split())
    for part in ("2027-01-15 08:00:00 UTC", "optimism sds", "-2.5", "+1.50 s", "+10 min", "1,234"):
        assert part in whole
    assert "[red]x[/red]" in "".join(text.split())
    assert "\x1b" not in text


def test_a_running_gateway_explains_its_decision(gateway, capfd):
    decision, completion = answered(gateway)
    for id in (decision, completion):
        assert main(["explain", id, "--url", gateway.url]) == 0
        text = " ".join(capfd.readouterr().out.split())
        served = gateway.gateway.router.find(decision).decision.model
        assert f"{served} serves at floor" in text
        assert f"score 1 of {served} from user" in text
        for name in gateway.gateway.router.zoo.names:
            assert name in text


def test_json_is_that_of_the_gateway(gateway, capfd):
    decision, _ = answered(gateway)
    assert main(["explain", decision, "--url", gateway.url, "--json"]) == 0
    over_http = gateway.http.get(f"/v1/decisions/{decision}").json()
    assert json.loads(capfd.readouterr().out) == over_http


@pytest.mark.parametrize("named", ["decision", "completion"])
def test_a_store_gives_the_same_as_the_gateway(gateway, tmp_path, capfd, named):
    decision, completion = answered(gateway)
    (path,) = tmp_path.rglob("*.db")
    id = decision if named == "decision" else completion
    assert main(["explain", id, "--store", f"sqlite:///{path}", "--json"]) == 0
    found = msgspec.json.decode(capfd.readouterr().out, type=Explanation)
    over_http = gateway.http.get(f"/v1/decisions/{decision}").json()
    assert msgspec.to_builtins(found) == over_http


def test_a_key_is_sent(administered, capfd):
    decision, _ = answered(administered)
    key = administered.http.headers["authorization"].removeprefix("Bearer ")
    assert main(["explain", decision, "--url", administered.url, "--key", key]) == 0
    capfd.readouterr()
    assert main(["explain", decision, "--url", administered.url]) == 2
    assert "takes no request without a key" in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize("source", ["gateway", "store"])
def test_an_unknown_id_is_an_error_that_names_it(gateway, tmp_path, capfd, source):
    answered(gateway)
    (path,) = tmp_path.rglob("*.db")
    where = ["--url", gateway.url] if source == "gateway" else ["--store", f"sqlite:///{path}"]
    assert main(["explain", "no-such-decision", *where]) == 2
    text = " ".join(capfd.readouterr().err.split())
    assert "no-such-decision" in text
    assert "completion" in text
