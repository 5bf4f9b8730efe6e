"""What-if questions: what they answer, to whom, and within which limits."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from tests.gateway.dashboard.conftest import Keyed
from tests.support.live_gateway import MODELS, wait_until, write_settings

from floorline.gateway.dashboard import whatif_runs
from floorline.stores import open_store
from floorline.whatif.recent_log import Question, answer

REQUESTS = 160
RANDOM = "/dashboard/whatif?policy=random"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """URL of a log of two tenants by the policy random: small satisfies one of them only."""
    from floorline import SLA, Model, Router, Zoo
    from floorline.events import RequestContext

    url = f"sqlite:///{tmp_path_factory.mktemp('whatif') / 'log.db'}"
    store = open_store(url)
    zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])
    router = Router(zoo, "random", [SLA("gold", floor=0.5)], log=store, seed=2)
    rng = np.random.default_rng(0)
    for number in range(2 * REQUESTS):
        tenant = ("acme", "other")[number % 2]
        context = RequestContext(tenant=tenant, key=f"k-{tenant}")
        made = router.route(f"Question {number}", at=1e9 + number, context=context)
        router.outcome(made.id, cost=1.0 if made.model == "small" else 9.0, at=1e9 + number)
        chance = 0.9 if made.model == "large" or tenant == "acme" else 0.1
        router.feedback(made.id, score=float(rng.random() < chance), at=1e9 + number)
    store.flush()
    store.close()
    return url


def best(found):
    assert found.problem == "", found.problem
    return found.result.satisfaction[-1]


def test_an_estimate_is_that_of_the_command(log):
    from floorline.stores.log_source import reading_log
    from floorline.whatif.counterfactual import Counterfactual
    from floorline.whatif.log_summary import LogSummary
    from floorline.whatif.other_policy import other_policy

    found = answer(log, Question(policy="cheapest"))
    with reading_log(log) as events:
        summary = LogSummary(event for _, event in events)
    other = Counterfactual(
        other_policy("cheapest", {}, summary.slas(), history=False),
        summary.zoo(),
        summary.slas(),
        summary.dim,
    )
    with reading_log(log) as events:
        for _, event in events:
            other.fold(event)
    assert found.result == other.result()
    assert found.events == 6 * REQUESTS
    assert (found.first, found.last) == (1e9, 1e9 + 2 * REQUESTS - 1)


def test_one_model_for_every_request(log):
    small, large = (answer(log, Question(model=name)) for name in ("small", "large"))
    assert large.result.cost[-1].value == pytest.approx(9.0, abs=0.01)
    assert small.result.cost[-1].value == pytest.approx(1.0, abs=0.01)
    assert best(large).value == pytest.approx(0.9, abs=0.06)
    assert best(small).value == pytest.approx(0.5, abs=0.08)


def test_the_requests_of_one_tenant_only(log):
    acme = answer(log, Question(model="small", tenant="acme"))
    other = answer(log, Question(model="small", tenant="other"))
    assert acme.result.requests == other.result.requests == REQUESTS
    assert acme.events == other.events == 3 * REQUESTS
    assert best(acme).value == pytest.approx(0.9, abs=0.06)
    assert best(other).value == pytest.approx(0.1, abs=0.06)
    unknown = answer(log, Question(model="small", tenant="none"))
    assert (unknown.events, unknown.result) == (0, None)


def test_a_part_of_the_log_and_what_cannot_be_answered(log):
    late = answer(log, Question(policy="random", since=1e9 + REQUESTS))
    assert late.result.requests == REQUESTS
    few = answer(log, Question(policy="random", max_events=90))
    assert few.events == 90
    assert few.result.satisfaction == ()
    assert "effective number of labels" in few.problem
    nothing = answer(log, Question(policy="random", since=2e9))
    assert nothing.result is None
    assert "without a routed request" in nothing.problem
    assert "choose" in answer(log, Question(policy="oracle")).problem
    assert "sla" in answer(log, Question(policy="random", sla="silver")).problem
    joined = answer(log, Question(model="new"))
    assert joined.result is None
    assert "model is 'new': choose one that could serve at the beginning" in joined.problem


def test_the_process_ends_with_the_one_that_asked(log):
    process = subprocess.Popen(
        [sys.executable, "-m", "floorline.whatif.recent_log"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdin.write(b'{"policy": "primal_dual"}\n')
    # No second line comes: it waits for the store's URL, and then its input ends.
    process.stdin.close()
    assert process.wait(60) != 0
    process.stdout.close()


@pytest.fixture
def keyed(start, provider):
    """A gateway of the policy random, which supports every question, with requests of a tenant."""
    slas = [{"name": "gold", "floor": 0.85}, {"name": "own", "floor": 0.6, "per_tenant": True}]
    text = write_settings(provider, auth="keys", slas=slas, policy="random")
    found = Keyed(start(text))
    yield found
    found.stop()


def ask(keyed, secret, count=70):
    headers = {"authorization": f"Bearer {secret}"}
    for number in range(count):
        made = keyed.live.chat(f"Question {number}", "floorline/own", headers=headers)
        rated = {"decision": made.headers["x-floorline-decision"], "satisfied": number % 3 > 0}
        assert keyed.live.http.post("/v1/feedback", json=rated, headers=headers).status_code == 200


def test_the_page_shows_estimates_and_a_link_asks_again(keyed, monkeypatch):
    _, secret = keyed.key("a", ["chat", "feedback", "view"], tenant="acme")
    ask(keyed, secret)
    browser = keyed.browser(secret)
    form = browser.get("/dashboard/whatif").text
    assert f"always {MODELS[0]}" in form
    # Labels of all tenants are in the means that this policy would be told.
    assert "static_mix" not in form
    page = browser.get("/dashboard/whatif", params={"policy": "random", "since": "1h"})
    assert page.status_code == 200
    assert "doubly robust (DR)" in page.text
    assert re.search(r"70, with 70 labels", page.text)
    table = browser.get("/dashboard/data/whatif.json").json()
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    assert [row["estimate"] for row in rows] == ["IPS", "SNIPS", "DR"]
    assert rows[0]["logged_satisfaction"] == pytest.approx(46 / 70)
    assert rows[0]["tenant"] == "acme"
    # The answer is kept for a while: no second process.
    monkeypatch.setattr(whatif_runs.asyncio, "create_subprocess_exec", None)
    again = browser.get("/dashboard/whatif", params={"policy": "random", "since": "1h"})
    assert "doubly robust (DR)" in again.text


def test_another_tenant_sees_neither_the_estimate_nor_the_requests(keyed):
    _, acme = keyed.key("a", ["chat", "feedback", "view"], tenant="acme")
    _, other = keyed.key("o", ["chat", "feedback", "view"], tenant="other")
    ask(keyed, acme, 5)
    browser = keyed.browser(acme)
    assert "5, with 5 labels" in browser.get("/dashboard/whatif?policy=random").text
    stranger = keyed.browser(other)
    assert stranger.get("/dashboard/data/whatif.json").json()["rows"] == []
    page = stranger.get("/dashboard/whatif?policy=random").text
    assert "without a routed request" in page
    assert "5, with 5 labels" not in page
    assert stranger.get("/dashboard/whatif?policy=random&tenant=acme").status_code == 400
    assert stranger.get("/dashboard/whatif?policy=random&sla=own@acme").status_code == 400


def test_bad_questions_are_refused(keyed):
    _, secret = keyed.key("root", ["admin"])
    browser = keyed.browser(secret)
    for query, name in (
        ({"policy": "oracle"}, "policy"),
        ({"policy": "always:none"}, "policy"),
        ({"policy": "os:system"}, "policy"),
        ({"policy": "random", "floor": "high"}, "floor"),
        ({"policy": "random", "floor": "1.5"}, "floor"),
        ({"policy": "random", "floor": "nan"}, "floor"),
    ):
        answered = browser.get("/dashboard/whatif", params=query)
        assert answered.status_code == 400
        assert name in answered.text


def test_one_question_at_a_time_and_none_for_ever(keyed, monkeypatch, tmp_path):
    _, secret = keyed.key("root", ["admin"])
    browser = keyed.browser(secret)
    # A worker that never answers.
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(600)\n")
    real = whatif_runs.asyncio.create_subprocess_exec
    processes = []

    async def start_slow(program, *arguments, **given):
        processes.append(await real(program, str(slow), **given))
        return processes[-1]

    monkeypatch.setattr(whatif_runs.asyncio, "create_subprocess_exec", start_slow)
    monkeypatch.setattr("floorline.gateway.dashboard.pages.whatif._WAIT_SECONDS", 0.1)
    waiting = browser.get(RANDOM)
    assert "Still estimating" in waiting.text
    assert browser.get("/dashboard/whatif?policy=cheapest").status_code == 503
    # The same question is the same run.
    assert "Still estimating" in browser.get(RANDOM).text
    assert len(processes) == 1
    os.kill(processes[0].pid, signal.SIGKILL)
    wait_until(lambda: "ended without an answer" in browser.get(RANDOM).text)
    monkeypatch.setattr(whatif_runs, "SECONDS", 1.0)
    wait_until(lambda: browser.get("/dashboard/whatif?policy=cheapest").status_code == 200)
    wait_until(lambda: "took longer than" in browser.get("/dashboard/whatif?policy=cheapest").text)
    assert processes[1].returncode == -signal.SIGKILL
