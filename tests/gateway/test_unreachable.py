"""A floor above all models, seen from outside: over HTTP, in metrics and by the command line."""

import json

from prometheus_client.parser import text_string_to_metric_families
from tests.support.live_gateway import MODELS, write_settings

from floorline.cli.app import main

SATISFIED = dict(zip(MODELS, (0.3, 0.5, 0.6), strict=True))


def samples(gateway, name):
    families = text_string_to_metric_families(gateway.http.get("/metrics").text)
    found = [s for family in families for s in family.samples if s.name == name]
    return {tuple(sorted(s.labels.items())): s.value for s in found}


def verdicts(gateway):
    """Verdict of every SLA by its name."""
    on = [
        dict(labels) for labels, value in samples(gateway, "floorline_sla_verdict").items() if value
    ]
    return {labels["sla"]: labels["floorline_sla_verdict"] for labels in on}


def test_an_unreachable_floor_is_said_early(start, provider, tmp_path, capsys):
    gateway = start(write_settings(provider, slas=[{"name": "gold", "floor": 0.9}]))
    served = []
    for number in range(150):
        answer = gateway.chat(text=f"What is {number} + {number}?")
        served.append(answer.headers["x-floorline-model"])
        label = {"id": answer.json()["id"], "score": SATISFIED[served[-1]]}
        assert gateway.http.post("/v1/feedback", json=label).status_code == 200
        status = gateway.http.get("/v1/slas/gold").json()
        if status["verdict"] == "unreachable":
            break
    found = status["reachability"]
    assert found["finding"] == "out of reach"
    assert status["reason"].startswith(found["reason"])
    assert "no model reaches the floor 0.9 on its own" in found["reason"]
    means = {row["model"]: round(row["mean"], 6) for row in found["models"]}
    assert means == SATISFIED
    assert max(row["upper"] for row in found["models"]) == found["upper"] < 0.9
    assert sum(row["labels"] for row in found["models"]) == len(served)
    assert verdicts(gateway) == {"gold": "unreachable"}
    assert samples(gateway, "floorline_sla_model_upper") == {
        (("sla", "gold"), ("tenant", "")): found["upper"]
    }
    gateway.call(gateway.gateway.store.flush)
    log = ["--log", str(tmp_path / "log.db"), "--out", str(tmp_path / "out")]
    assert main(["report", "certificate", *log]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("gold: unreachable. floor 0.9")
    assert said[1] == status["reason"]
    written = json.loads((tmp_path / "out" / "certificate.json").read_text())
    assert written["certificate"]["reachability"] == found
    page = (tmp_path / "out" / "certificate.html").read_text()
    assert "What the models reach" in page
