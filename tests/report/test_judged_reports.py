"""Reports say of judges what the router says: the same sums, certified by the same code."""

import json

import numpy as np
import pytest

from floorline.cli.app import main
from floorline.events import JUDGE_KEY, RequestContext
from floorline.sla import SLA

pytest.importorskip("sqlalchemy")
START = 1_790_000_000.0


def live(router, vector, count=400, seed=0):
    """Route requests; a judge sees a third, users label some, and some draws are missed."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        at, sla = START + 10.0 * number, "gold" if number % 4 else "silver"
        made = router.route(features=vector(number % 50), sla=sla, at=at)
        router.outcome(made.id, cost=1.0, at=at + 1)
        user, judge = float(rng.random() < 0.8), float(rng.random() < 0.9)
        labelled, drawn, first = rng.random() < 0.2, rng.random() < 0.3, rng.random() < 0.5
        if labelled and first:
            router.feedback(made.id, score=user, at=at + 2)
        if drawn or labelled:
            call = router.log_direct_call(
                "large", "Judge this", at=at + 2, context=RequestContext(key=JUDGE_KEY + "strict")
            )
            failed = number % 9 == 0
            error = "down" if failed else None
            router.outcome(call.id, cost=0.0 if failed else 0.5, error=error, at=at + 3)
            said = {"failure": "budget"} if number % 5 == 0 else {"score": judge}
            said = {"failure": "refused"} if number % 17 == 0 else said
            rate = (0.3 if number % 2 else 0.4) if drawn else None
            router.judgement(made.id, "strict", rate=rate, call=call.id, at=at + 4, **said)
        if labelled and not first:
            router.feedback(made.id, score=user, at=at + 5)
        if labelled and number % 7 == 0:
            router.feedback(made.id, score=1.0 - user, at=at + 6)
    shadow = RequestContext(key="shadow")
    call = router.log_direct_call("small", "The same", at=at, context=shadow)
    router.outcome(call.id, cost=0.25, at=at + 1)


@pytest.fixture
def router(build_router, vector, tmp_path):
    from floorline.stores.sql import SqlStore

    built = build_router(slas=[SLA("gold", floor=0.7), SLA("silver", floor=0.5)])
    built.log = SqlStore(f"sqlite:///{tmp_path}/log.db")
    live(built, vector)
    built.log.flush()
    yield built
    built.log.close()


def certified(tmp_path, *more):
    log = str(tmp_path / "log.db")
    main(["report", "certificate", "--log", log, "--sla", "gold", "--out", str(tmp_path), *more])
    return json.loads((tmp_path / "certificate.json").read_text())


def same(stated, made):
    """Compare what a report states with a struct, up to rounding."""
    for name in made.__struct_fields__:
        value = getattr(made, name)
        if hasattr(value, "__struct_fields__"):
            same(stated[name], value)
        elif isinstance(value, float):
            assert stated[name] == pytest.approx(value, abs=1e-9), name
        else:
            assert stated[name] == value, name


def test_a_certificate_says_of_judges_what_the_router_says(router, tmp_path, capsys):
    body = certified(tmp_path)
    [judged] = router.certificate("gold").judged
    assert min(judged.missed, judged.failures, judged.pairs, judged.drawn) > 0
    [stated] = body["certificate"]["judged"]
    same(stated, judged)
    agreements = router.judge_agreements()
    assert len(body["judges"]) == len(agreements) > 1
    for given, made in zip(body["judges"], agreements, strict=True):
        same(given, made)
    assert body["certificate"]["assumptions"] == list(router.certificate("gold").assumptions)
    shown = capsys.readouterr().out
    assert f"gold, by judge strict ({judged.drawn:,} scores" in shown
    assert "gold, users with judge strict" in shown


def test_costs_of_judging_and_of_the_shadow_are_their_own_lines(router, tmp_path):
    by_key = {row["key"]: row for row in certified(tmp_path)["judging"]}
    assert set(by_key) == {"judge:strict", "shadow"}
    assert by_key["shadow"]["cost"] == 0.25
    judge = by_key["judge:strict"]
    assert judge["cost"] == 0.5 * (judge["calls"] - judge["failed"])
    assert (judge["judge"], judge["failed"] > 0) == ("strict", True)
    page = (tmp_path / "certificate.html").read_text()
    assert "Costs of judging" in page
    assert "calls in the shadow" in page
    assert "drawn and not seen" in page


def test_a_log_without_judges_has_no_such_chapter(build_router, vector, tmp_path):
    from floorline.stores.sql import SqlStore

    built = build_router(slas=[SLA("gold", floor=0.7)])
    built.log = SqlStore(f"sqlite:///{tmp_path}/log.db")
    made = built.route(features=vector(0), at=START)
    built.outcome(made.id, cost=1.0, at=START)
    built.log.flush()
    built.log.close()
    body = certified(tmp_path)
    assert (body["judges"], body["judging"], body["certificate"]["judged"]) == ([], [], [])
    assert "judge" not in (tmp_path / "certificate.html").read_text().split("What this assumes")[0]


def test_an_exported_log_says_the_same(router, tmp_path):
    exported = tmp_path / "log.jsonl"
    url = f"sqlite:///{tmp_path}/log.db"
    assert main(["store", "export", str(exported), "--store", url]) == 0
    out = ["--sla", "gold", "--out", str(tmp_path)]
    main(["report", "certificate", "--log", str(exported), *out])
    body = json.loads((tmp_path / "certificate.json").read_text())
    same(body["certificate"]["judged"][0], router.certificate("gold").judged[0])
    for given, made in zip(body["judges"], router.judge_agreements(), strict=True):
        same(given, made)
    assert {row["key"] for row in body["judging"]} == {"judge:strict", "shadow"}


@pytest.mark.parametrize("method", ["bernstein", "dr"])
def test_other_methods_have_the_same_bounds_of_judges(router, tmp_path, method):
    rate = ["--rate", "0.2"] if method == "dr" else []
    [stated] = certified(tmp_path, "--method", method, *rate)["certificate"]["judged"]
    same(stated, router.certificate("gold").judged[0])


def test_a_given_floor_counts_for_judges_too(router, tmp_path):
    body = certified(tmp_path, "--floor", "0.01")["certificate"]
    assert body["judged"][0]["by_judge"]["verdict"] == "kept"


def test_an_sla_that_was_removed_and_set_again_starts_from_zero(router, tmp_path, vector):
    router.remove_sla("gold", at=START + 5000)
    router.set_sla(SLA("gold", floor=0.7), at=START + 5001)
    old = list(router._fold.records_)[2]
    assert router.find(old).decision.sla == "gold"
    assert not router.judgement(old, "late", 1.0, rate=0.5, at=START + 5002)
    made = router.route(features=vector(0), sla="gold", at=START + 5003)
    router.outcome(made.id, cost=1.0, at=START + 5004)
    router.judgement(made.id, "strict", 1.0, rate=0.5, at=START + 5005)
    router.log.flush()
    body = certified(tmp_path)
    [judged] = router.certificate("gold").judged
    assert judged.drawn == 1
    same(body["certificate"]["judged"][0], judged)
    assert [row["judge"] for row in body["judges"]] == [
        one.judge for one in router.judge_agreements()
    ]


def reported(tmp_path, *more):
    log = str(tmp_path / "log.db")
    main(["report", "sla", "--log", log, "--out", str(tmp_path), *more])
    return json.loads((tmp_path / "sla-report.json").read_text())


WHOLE = ("--since", "2026-09-01", "--until", "2026-10-30")


def test_an_sla_report_says_of_judges_what_the_router_says(router, tmp_path):
    body = reported(tmp_path, *WHOLE)
    for made in body["slas"]:
        [judged] = router.certificate(made["sla"]).judged
        same(made["certificate"]["judged"][0], judged)
    for given, made in zip(body["judges"], router.judge_agreements(), strict=True):
        same(given, made)
    assert {row["key"]: row["calls"] > 0 for row in body["judging"]} == {
        "judge:strict": True,
        "shadow": True,
    }
    page = (tmp_path / "sla-report.html").read_text()
    for words in ("Judges", "Costs of judging", "drawn and not seen", "calls in the shadow"):
        assert words in page


def test_an_sla_report_is_about_its_period_only(router, tmp_path):
    body = reported(tmp_path, "--since", "2026-09-01", "--until", "2026-09-21T14:46")
    half = body["judging"][0]["calls"]
    whole = reported(tmp_path, *WHOLE)["judging"][0]["calls"]
    assert 0 < half < whole


def test_a_report_on_a_tenant_says_nothing_of_costs_that_others_share(
    build_router, vector, tmp_path
):
    from floorline.stores.sql import SqlStore

    built = build_router(slas=[SLA("gold", floor=0.7)])
    built.log = SqlStore(f"sqlite:///{tmp_path}/log.db")
    for number, tenant in enumerate(["acme", "other"] * 20):
        at = START + number
        context = RequestContext(tenant=tenant)
        made = built.route(features=vector(number), at=at, context=context)
        built.outcome(made.id, cost=1.0, at=at)
        built.judgement(made.id, "strict", float(tenant == "acme"), rate=0.5, at=at)
        call = built.log_direct_call(
            "large", "Judge", at=at, context=RequestContext(key="judge:strict")
        )
        built.outcome(call.id, cost=0.5, at=at)
    built.log.flush()
    built.log.close()
    body = reported(tmp_path, *WHOLE, "--tenant", "acme")
    [judged] = body["slas"][0]["certificate"]["judged"]
    assert (judged["drawn"], judged["by_judge"]["satisfaction"]) == (20, 1.0)
    assert body["judging"] == []
    assert body["judges"][0]["judged"] == 20
    assert "Costs of judging" not in (tmp_path / "sla-report.html").read_text()
