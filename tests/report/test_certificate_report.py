import json
import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from floorline.cli.app import main
from floorline.events import Recall, RequestContext
from floorline.report.certificate_data import Promise
from floorline.report.certificate_methods import METHODS
from floorline.report.certificate_page import html_page
from floorline.report.certificate_report import Report, make_report, read_promise
from floorline.sla import SLA, Budget
from floorline.stores.log_source import LogDigest
from floorline.zoo import Model

pytest.importorskip("sqlalchemy")
START = 1_790_000_000.0


def live(router, vector, count=300, share=0.4, seed=0, satisfied=0.9):
    """Route requests; some get a label, from two sources, and a few labels are corrected."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        at = START + 10.0 * number
        decision = router.route(features=vector(number % 50), sla="gold", at=at)
        router.outcome(decision.id, cost=1.0, at=at + 1)
        if rng.random() < share:
            source = "judge" if rng.random() < 0.5 else "user"
            score = float(rng.random() < satisfied)
            router.feedback(decision.id, score=score, source=source, at=at + 2)
            if rng.random() < 0.1:
                router.feedback(decision.id, score=1.0 - score, source=source, at=at + 3)


@pytest.fixture
def router(build_router, vector, tmp_path):
    """A router that lived, with its log in a store."""
    from floorline.stores.sql import SqlStore

    built = build_router(slas=[SLA("gold", floor=0.7, label_window=50), SLA("silver", floor=0.5)])
    built.log = SqlStore(f"sqlite:///{tmp_path}/log.db")
    live(built, vector)
    built.log.flush()
    yield built
    built.log.close()


def certify(*arguments):
    return main(["report", "certificate", *map(str, arguments)])


def written(folder):
    return json.loads((folder / "certificate.json").read_text())


def test_the_page_says_what_the_router_says(router, tmp_path, capsys):
    code = certify("--log", tmp_path / "log.db", "--signed-by", "A. Tester", "--out", tmp_path)
    made, body = router.certificate(), written(tmp_path)
    stated = body["certificate"]
    for field in ("lower", "upper", "satisfaction", "floor"):
        assert stated[field] == pytest.approx(getattr(made, field), abs=1e-9)
    for field in ("verdict", "requests", "labels", "method", "confidence"):
        assert stated[field] == getattr(made, field)
    assert stated["assumptions"] == list(made.assumptions)
    assert code == (0 if made.verdict == "kept" else 1)
    assert f"gold: {made.verdict}. floor 0.7" in capsys.readouterr().out
    assert body["data"]["first_position"] == 0
    assert body["data"]["last_position"] == len(router.log) - 1
    assert body["data"]["events"] == len(router.log)
    assert body["data"]["first_at"] == START
    assert sum(group["labels"] for group in body["sources"]) == made.labels
    assert sum(group["served"] for group in body["models"]) == made.requests
    assert body["corrected"] > 0
    assert body["signed_by"] == "A. Tester"
    assert msgspec.json.decode((tmp_path / "certificate.json").read_bytes(), type=Report)


def test_the_evidence_is_the_routers_own(build_router, vector, tmp_path):
    from floorline.stores.sql import SqlStore

    router = build_router("random", memory=500)
    router.log = SqlStore(f"sqlite:///{tmp_path}/log.db")
    router.set_sla(SLA("gold", floor=0.95, budget=Budget(total=300.0, period=600.0)))
    live(router, vector, share=0.6, satisfied=0.5)
    router.remove_model("medium")
    router.add_model(Model("medium", call_price=4.0))
    live(router, vector, count=100, seed=1, share=0.6, satisfied=0.5)
    router.log.flush()
    made = router.certificate()
    assert made.verdict == "unreachable"
    assert made.reachability.budget_per_request == 6 * 300.0 / 400
    certify("--log", tmp_path / "log.db", "--out", tmp_path)
    router.log.close()
    report = msgspec.json.decode((tmp_path / "certificate.json").read_bytes(), type=Report)
    found = report.certificate.reachability
    assert (found.finding, found.reason) == (made.reachability.finding, made.reachability.reason)
    assert (found.affordable, found.budget_per_request) == pytest.approx(
        (made.reachability.affordable, made.reachability.budget_per_request)
    )
    for one, other in zip(found.models, made.reachability.models, strict=True):
        assert (one.model, one.labels) == (other.model, other.labels)
        numbers = (one.mean, one.upper, one.cost)
        assert numbers == pytest.approx((other.mean, other.upper, other.cost))


def test_the_page_needs_nothing_from_elsewhere_and_closes_its_tags(router, tmp_path):
    certify(
        "--log", f"sqlite:///{tmp_path}/log.db", "--signed-by", "<b>M & N</b>", "--out", tmp_path
    )
    page = (tmp_path / "certificate.html").read_text()
    assert not re.search(r"<script|src=|href=|url\(|@import", page)
    assert "&lt;b&gt;M &amp; N&lt;/b&gt;" in page
    open_tags = []

    class Check(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "br", "line"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert tag in ("line",) or open_tags.pop() == tag

    Check().feed(page)
    assert open_tags == []
    assert written(tmp_path)["data"]["sha256"] in page


def test_an_exported_log_is_the_same_log(router, tmp_path):
    export = tmp_path / "log.jsonl"
    store = ("--store", f"sqlite:///{tmp_path}/log.db")
    assert main(["store", "export", str(export), "--features", *store]) == 0
    certify("--log", tmp_path / "log.db", "--out", tmp_path / "a")
    certify("--log", export, "--out", tmp_path / "b")
    one, other = written(tmp_path / "a"), written(tmp_path / "b")
    for body in (one, other):
        del body["signed_at"], body["data"]["log"]
    assert one == other


def test_a_changed_log_has_another_digest(router):
    events = list(enumerate(router.log.read()))

    def digest(numbered):
        log = LogDigest(iter(numbered))
        assert sum(1 for _ in log) == len(numbered)
        return log.sha256

    assert digest(events) == digest(events)
    assert digest(events) != digest(events[:-1])
    assert digest(events) != digest([*events[:-2], events[-1], events[-2]])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_bounds_the_same_labels(method, router, tmp_path):
    rate = ["--rate", 0.4] if method in ("ipw", "dr") else []
    certify("--log", tmp_path / "log.db", "--method", method, *rate, "--out", tmp_path)
    body = written(tmp_path)
    assert body["certificate"]["method"] == METHODS[method]
    assert body["certificate"]["labels"] == router.certificate().labels
    points = body["series"]
    assert 100 < len(points) <= 240
    assert all(lower <= upper for *_, lower, upper in points)
    bounds = [body["certificate"]["lower"], body["certificate"]["upper"]]
    assert points[-1][2:] == pytest.approx(bounds)


def test_exit_codes_tell_kept_from_not_kept_from_wrong(router, tmp_path, capsys):
    log = ["--log", tmp_path / "log.db", "--out", tmp_path]
    assert certify(*log, "--floor", 0.5) == 0
    # Who signs must see that it is not what was promised.
    note = "The floor 0.5 was given for this page; these responses were promised 0.7."
    assert written(tmp_path)["notes"] == [note]
    assert note in (tmp_path / "certificate.html").read_text()
    assert certify(*log, "--floor", 0.99) == 1
    assert certify(*log, "--sla", "silver") == 2
    assert "name one that the log has decisions of: gold" in capsys.readouterr().err
    assert certify(*log, "--method", "dr") == 2
    assert "known probability of a label" in capsys.readouterr().err
    assert certify("--log", tmp_path / "absent.db", "--out", tmp_path) == 2
    assert "give a store's URL" in capsys.readouterr().err
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text('{"kind": "decision"}\n')
    assert certify("--log", damaged, "--out", tmp_path) == 2
    assert "damaged.jsonl, row 1" in capsys.readouterr().err


def test_labels_of_one_source_can_be_certified_alone(router, tmp_path):
    certify("--log", tmp_path / "log.db", "--source", "judge", "--out", tmp_path)
    body = written(tmp_path)
    assert [group["name"] for group in body["sources"]] == ["judge"]
    assert body["notes"] == ["Only labels of these sources were taken: judge."]
    assert body["certificate"]["labels"] < router.certificate().labels


def test_promises_changed_in_the_log_are_the_ones_certified(build_router, vector):
    router = build_router(slas=[SLA("gold", floor=0.7), SLA("silver", floor=0.5)])
    live(router, vector, count=60)
    router.remove_sla("gold")
    router.set_sla(SLA("gold", floor=0.6, label_window=10))
    live(router, vector, count=40, seed=1)
    log = LogDigest(enumerate(router.log.read()))
    promise = read_promise(log, "gold", None)
    report = make_report(promise, promise.promised, log, name="memory")
    whole, window = router.certificate("gold"), router.certificate("gold", window=True)
    assert report.certificate.requests == whole.requests == 40
    assert report.certificate.floor == whole.floor == 0.6
    assert report.certificate.lower == pytest.approx(whole.lower)
    assert (report.window.labels, report.window.window) == (10, 10)
    assert report.window.lower == pytest.approx(window.lower)
    assert "Latest 10 labels" in html_page(report)


def test_random_lives_are_counted_as_the_router_counts_them(build_router, some_life):
    for seed in range(6):
        router = build_router(slas=[SLA("gold", floor=0.8, label_window=5)])
        some_life(router, 250, seed)
        for name in router.slas:
            promise = Promise(name)
            for event in router.log.read():
                promise.fold(event)
            made = router.certificate(name)
            assert promise.requests == made.requests
            assert promise.labels == made.labels
            scores = [response.score for response in promise.labelled()]
            assert sum(scores) == pytest.approx((made.satisfaction or 0.0) * made.labels)


def test_recalled_decisions_count_once(build_router, vector):
    router = build_router(memory=5)
    first = router.route(features=vector(0))
    router.feedback(first.id, satisfied=True)
    for number in range(1, 9):
        router.route(features=vector(number))
    router.restore_decision(first, {first.model: 1.0})
    router.feedback(first.id, satisfied=False)
    whole, tail = Promise("gold"), Promise("gold")
    events = list(router.log.read())
    for event in events:
        whole.fold(event)
    assert (whole.requests, whole.labels, whole.corrected) == (9, 1, 1)
    # Where older events were deleted, the recall is all that is left of them.
    for event in events[next(i for i, e in enumerate(events) if isinstance(e, Recall)) :]:
        tail.fold(event)
    assert (tail.labels, tail.corrected) == (1, 1)


def several_tenants(router, vector, count=900):
    """Twenty-five tenants; one labels everything bad, and the others one in five responses."""
    rng = np.random.default_rng(0)
    for number in range(count):
        liar = number % 10 == 0
        tenant = "liar" if liar else f"tenant {number % 24}"
        context = RequestContext(tenant=tenant)
        decision = router.route(features=vector(number % 40), sla="gold", context=context)
        if liar or rng.random() < 0.2:
            router.feedback(decision.id, score=0.0 if liar else float(rng.random() < 0.9))


def test_the_page_says_who_taught_what_by_the_routers_own_weights(router, vector, tmp_path):
    router.log.flush()
    several_tenants(router, vector)
    router.log.flush()
    for arguments in ((), ("--method", "bernstein")):
        certify("--log", tmp_path / "log.db", "--sla", "gold", "--out", tmp_path, *arguments)
        body, made = written(tmp_path), router.certificate("gold")
        for field in ("satisfaction", "weight", "floor", "labels"):
            assert body["certificate"][field] == pytest.approx(getattr(made, field), abs=1e-9)
    assert made.weight < 0.8 * made.labels
    assert any("weighted mean" in text for text in body["certificate"]["assumptions"])
    rows = {row["name"]: row for row in body["senders"]}
    assert len(rows) == 21
    assert sum(row["requests"] for row in rows.values()) == made.requests
    assert sum(row["weight"] for row in rows.values()) == pytest.approx(made.weight)
    assert rows["tenant:liar"]["request_share"] == pytest.approx(0.075)
    assert rows["tenant:liar"]["weight_share"] < 0.05
    assert rows["tenant:liar"]["mean"] == 0.0
    page = (tmp_path / "certificate.html").read_text()
    assert "Labels by tenant or key" in page
    assert "tenant:liar" in page
    listed = {row.sender: row for row in router.status("gold").senders}
    assert listed["tenant:liar"].weight == pytest.approx(rows["tenant:liar"]["weight"])
    assert len(listed) == 21
    assert "labels of tenant:liar" in router.status("gold")._repr_html_()


def test_uneven_labels_and_disagreeing_sources_are_pointed_out(build_router, vector):
    router = build_router("random")
    rng = np.random.default_rng(0)
    for number in range(900):
        decision = router.route(features=vector(number % 40))
        if rng.random() < (0.9 if decision.model == "large" else 0.2):
            user = rng.random() < 0.5
            score = float(rng.random() < (0.9 if user else 0.5))
            router.feedback(decision.id, score=score, source="user" if user else "judge")
    log = LogDigest(enumerate(router.log.read(), start=7))
    promise = read_promise(log, None, None)
    report = make_report(promise, SLA("gold", floor=0.8), log, name="memory")
    text = " ".join(report.checks)
    assert "more often for some models" in text
    assert "Sources of labels disagree" in text
    assert "begins at position 7" in text
    assert "no event has a time" in html_page(report)


def test_names_from_outside_are_escaped_on_the_page(build_router, vector):
    router = build_router(slas=[SLA("<b>gold</b>", floor=0.7)])
    for number in range(20):
        router.feedback(router.route(features=vector(number)).id, satisfied=True)
    log = LogDigest(enumerate(router.log.read()))
    promise = read_promise(log, None, None)
    given = {"name": "a & b.db", "signed_by": "<script>alert(1)</script>"}
    page = html_page(make_report(promise, SLA("<b>gold</b>", floor=0.7), log, **given))
    for text in ("<b>gold</b>", "<script>", "a & b.db"):
        assert text not in page
    assert "Signed by <b>&lt;script&gt;alert(1)&lt;/script&gt;</b>" in page
    assert "a &amp; b.db" in page


def test_promises_of_latency_are_certified_as_the_router_does(
    build_router, vector, tmp_path, capsys
):
    from floorline.stores.sql import SqlStore

    sla = SLA("gold", floor=0.5, latency={"p90": 2.0}, ttft={"p50": 0.5})
    router = build_router(slas=[sla])
    router.log = SqlStore(f"sqlite:///{tmp_path}/log.db")
    router.set_sla(sla, at=START)
    rng, failed = np.random.default_rng(0), ""
    for number in range(400):
        at = START + 10.0 * number
        context = RequestContext(after=failed)
        exclude = ["small"] if failed else []
        made = router.route(features=vector(number % 50), at=at, context=context, exclude=exclude)
        failed = made.id if rng.random() < 0.05 and made.model == "small" else ""
        if failed:
            router.outcome(made.id, cost=0.0, error="timeout", at=at + 1.0)
            continue
        total = float(rng.exponential(0.5))
        router.outcome(made.id, cost=1.0, latency=total, first_token=total / 2, at=at + 1.0)
        router.feedback(made.id, score=1.0, at=at + 2.0)
    router.log.flush()
    code = certify("--log", tmp_path / "log.db", "--out", tmp_path)
    shown, body = capsys.readouterr().out, written(tmp_path)
    made = router.certificate().latency
    assert body["certificate"]["latency"] == json.loads(msgspec.json.encode(made))
    assert "gold: kept. whole answer within 2 s for 90 % of the requests: share" in shown
    assert "Promise of latency: first content" in (tmp_path / "certificate.html").read_text()
    assert (code == 0) == all(one.verdict == "kept" for one in (router.certificate(), *made))
    router.log.close()
