import math

import msgspec
import pytest
import sqlalchemy as sa
from tests.stores.test_sql import decision, outcome

from floorline.events import Feedback, SlaChange, Tombstone, WarmStart, ZooChange
from floorline.sla import SLA
from floorline.stores import browsing, open_store
from floorline.stores.browsing import CallsOf, KeyUse, LogBrowser, Wanted
from floorline.zoo import Model, Zoo


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Let a search take as long as a busy machine needs."""
    monkeypatch.setattr(browsing, "_SECONDS", 60.0)


def made(name, at, **fields):
    fields = {"sla": "gold", "model": "small", **fields}
    return msgspec.structs.replace(decision(name), at=at, **fields)


def fill(store, count=30):
    """Decisions of two tenants and of a key without one, an outcome after each."""
    owners = [("acme", "k1"), ("acme", "k2"), ("other", "k3"), ("", "k4")]
    for number in range(count):
        tenant, key = owners[number % 4]
        store.append(
            made(
                f"d{number}",
                1000.0 + number,
                tenant=tenant,
                key=key,
                sla=("gold", "silver")[number % 3 == 0],
                session=f"s{number // 10}",
            )
        )
        store.append(outcome(f"d{number}", at=1000.5 + number, completion=f"c{number}"))
    store.flush()
    return LogBrowser(store)


def names(found):
    return [made.id for _, made in found.decisions]


def test_pages_follow_each_other_without_gap_or_repetition(store):
    browser = fill(store)
    seen, before = [], None
    while True:
        found = browser.decisions(Wanted(), before=before, most=7)
        seen += names(found)
        before = found.before
        if before is None:
            break
        assert len(found.decisions) == 7
    assert seen == [f"d{number}" for number in reversed(range(30))]


@pytest.mark.parametrize("by_index", [False, True])
def test_pages_of_a_tenant_have_all_its_decisions_and_no_other(store, by_index):
    browser = fill(store)
    keys = ("k1", "k2") if by_index else None
    seen, before = [], None
    while True:
        found = browser.decisions(Wanted(tenant="acme", keys=keys), before=before, most=4)
        seen += names(found)
        before = found.before
        if before is None:
            break
    assert seen == [f"d{number}" for number in reversed(range(30)) if number % 4 < 2]


def test_a_key_of_two_tenants_shows_only_the_decisions_of_the_one(store):
    # A key's tenant never changes; a store that someone edited must not leak all the same.
    store.append(made("a", 1.0, tenant="acme", key="k1"))
    store.append(made("b", 2.0, tenant="other", key="k1"))
    store.flush()
    found = LogBrowser(store).decisions(Wanted(tenant="acme", keys=("k1",)))
    assert names(found) == ["a"]


def test_each_filter_leaves_out_the_others(store):
    browser = fill(store, 12)
    store.append(made("odd", 2000.0, model="large"))
    store.append(made("none", 900.0, model="", index=-1, called=()))
    store.flush()

    def wanted(**fields):
        return names(browser.decisions(Wanted(**fields)))

    assert wanted(sla="silver") == ["d9", "d6", "d3", "d0"]
    assert wanted(model="large") == ["odd"]
    assert wanted(model="") == ["none"]
    assert wanted(key="k3") == ["d10", "d6", "d2"]
    assert wanted(tenant="") == ["none", "odd", "d11", "d7", "d3"]
    assert wanted(since=1010.0) == ["odd", "d11", "d10"]
    assert wanted(key="k3", since=1006.0) == ["d10", "d6"]
    assert wanted(where=lambda one: one.at == 1004.0) == ["d4"]
    assert wanted(sla="bronze") == []
    assert wanted(keys=()) == []


def test_decisions_of_one_time_keep_the_order_of_the_log(store):
    for number in range(9):
        store.append(made(f"d{number}", 5.0, key=f"k{number % 2}"))
    store.flush()
    browser = LogBrowser(store)
    first = browser.decisions(Wanted(keys=("k0", "k1")), most=4)
    rest = browser.decisions(Wanted(keys=("k0", "k1")), before=first.before, most=9)
    assert names(first) + names(rest) == [f"d{number}" for number in reversed(range(9))]


def test_a_search_that_takes_too_long_says_where_it_goes_on(store, monkeypatch):
    fill(store)
    monkeypatch.setattr(browsing, "_ROWS", 4)
    seconds = iter(range(10_000))
    # Each look at the clock takes a twentieth of what a search may take.
    browser = LogBrowser(store, lambda: 3.0 * next(seconds))
    for keys in (None, ("k1", "k2", "k3", "k4")):
        wanted = Wanted(sla="silver", keys=keys)
        found = browser.decisions(wanted)
        assert found.timed_out
        seen = names(found)
        while found.before is not None:
            found = browser.decisions(wanted, before=found.before)
            seen += names(found)
        assert seen == [f"d{number}" for number in reversed(range(30)) if number % 3 == 0]


def test_a_damaged_event_is_left_out_and_counted(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
    browser = fill(store, 6)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE events SET body = x'00' WHERE decision = 'd4'")
    found = browser.decisions(Wanted())
    assert (names(found), found.damaged) == (["d5", "d3", "d2", "d1", "d0"], 1)
    assert browser.named("d4", Wanted()) == []
    assert browser.calls([msgspec.structs.replace(decision("d4"))]) == {"d4": CallsOf()}
    store.close()


def test_a_name_is_that_of_a_decision_a_completion_or_a_session(store):
    browser = fill(store)

    def found(name, **wanted):
        return [one.id for one in browser.named(name, Wanted(**wanted))]

    assert found("d3") == found("c3") == ["d3"]
    assert found("s1") == [f"d{number}" for number in reversed(range(10, 20))]
    assert found("s1", tenant="other") == ["d18", "d14", "d10"]
    assert found("d3", tenant="acme") == found("c3", tenant="acme") == []
    assert found("d3", tenant="") == ["d3"]
    assert found("nothing") == found("") == []
    assert [one.id for one in browser.named("s1", Wanted(), most=2)] == ["d19", "d18"]


def test_a_session_has_its_turns_in_order_and_no_others(store):
    browser = fill(store)
    # A decision may have the session's name as its id, and an outcome as that of its completion.
    store.append(made("s1", 3000.0))
    store.append(outcome("s1", completion="s1"))
    store.flush()
    assert [one.id for one in browser.session("s1", Wanted())] == [f"d{n}" for n in range(10, 20)]
    turns = browser.session("s1", Wanted(tenant="acme", key="k1"), most=2)
    assert [one.id for one in turns] == ["d12", "d16"]


def test_what_became_of_a_decision_is_as_the_router_counts_it(store):
    both = made("both", 1.0, called=("small", "judge"))
    store.append(both)
    store.append(made("open", 2.0))
    for fields in (
        {"cost": 0.5, "latency": 2.0, "first_token": 0.25, "input_tokens": 7, "output_tokens": 9},
        {"cost": 0.25, "model": "judge", "latency": 9.0},
        # The second outcome of one call counts for nothing.
        {"cost": 8.0, "latency": 8.0},
    ):
        store.append(outcome("both", **fields))
    store.append(outcome("failed", cost=0.0, error="overloaded"))
    for score, model in ((0.0, "small"), (1.0, "small"), (0.5, "judge")):
        store.append(Feedback(decision="both", model=model, score=score))
    store.flush()
    found = LogBrowser(store).calls([both, made("open", 2.0), made("failed", 3.0)])
    assert found["both"] == CallsOf(0.75, 2.0, 0.25, 7, None, 9, None, 1.0)
    assert found["open"] == CallsOf()
    assert found["failed"] == CallsOf(cost=0.0, error="overloaded")
    assert LogBrowser(store).calls([]) == {}


def test_a_condition_on_what_became_of_decisions_fills_its_pages(store, monkeypatch):
    browser = fill(store, 30)
    monkeypatch.setattr(browsing, "_ROWS", 4)
    for number in range(0, 30, 5):
        store.append(Feedback(decision=f"d{number}", model="small", score=0.0))
    store.flush()
    seen, before = [], None
    while True:
        found = browser.with_calls(
            Wanted(), before=before, most=4, where=lambda _, calls: calls.score == 0.0
        )
        seen += [one.id for _, one, _ in found.rows]
        assert {calls.score for _, _, calls in found.rows} == {0.0}
        before = found.before
        if before is None:
            break
    assert seen == ["d25", "d20", "d15", "d10", "d5", "d0"]
    plain = browser.with_calls(Wanted(), most=3)
    assert [(one.id, calls.cost) for _, one, calls in plain.rows] == [
        ("d29", 1.0),
        ("d28", 1.0),
        ("d27", 1.0),
    ]
    assert not plain.timed_out
    assert plain.before is not None


def test_changes_are_what_is_no_request(store):
    browser = fill(store, 3)
    changes = [
        ZooChange(zoo=Zoo([Model("small", call_price=2.0)]), at=1.0),
        SlaChange(sla=SLA("gold", floor=0.9), at=2.0),
        WarmStart(digest="ab", rows=3, at=3.0),
        Tombstone(lost="outcome", reason="refused", at=4.0),
    ]
    for change in changes:
        store.append(change)
        store.append(outcome("d1"))
    store.flush()
    found = browser.changes()
    assert [msgspec.structs.replace(event, at=0.0) for _, event in found][:2] == [
        msgspec.structs.replace(event, at=0.0) for event in changes[:2]
    ]
    assert [event.at for _, event in found] == [1.0, 2.0, 3.0, 4.0]
    assert [position for position, _ in found] == [6, 8, 10, 12]
    assert [event.at for _, event in browser.changes(most=2)] == [3.0, 4.0]


def test_uses_of_keys_are_counted_up_to_a_bound(store, monkeypatch):
    browser = fill(store)
    found = browser.uses(["k1", "unused"], 1008.0)
    assert found == {"k1": KeyUse(6, False, 1028.0), "unused": KeyUse(0, False, None)}
    seconds = iter([0.0, 0.5, 60.5])
    slow = LogBrowser(store, lambda: next(seconds))
    assert list(slow.uses(["k1", "k2"], -math.inf)) == ["k1"]
    monkeypatch.setattr(browsing, "_MAX_COUNT", 3)
    assert browser.uses(["k1"], -math.inf) == {"k1": KeyUse(3, True, 1028.0)}


SEARCHES = {
    "latest": lambda browser: browser.decisions(Wanted(sla="x")),
    "since": lambda browser: browser.decisions(Wanted(since=1005.0)),
    "of a model": lambda browser: browser.decisions(Wanted(model="x")),
    "next page": lambda browser: browser.decisions(Wanted(), before=9),
    "of a key": lambda browser: browser.decisions(Wanted(key="k1", since=5.0)),
    "next of a key": lambda browser: browser.decisions(Wanted(key="k1"), before=9),
    "named": lambda browser: browser.named("s1", Wanted(tenant="acme")),
    "session": lambda browser: browser.session("s1", Wanted()),
    "calls": lambda browser: browser.calls([decision("d1")]),
    "changes": lambda browser: browser.changes(),
    "uses": lambda browser: browser.uses(["k1"], 5.0),
    "lost": lambda browser: browser._reader.lost(["d1"]),
    "warm starts": lambda browser: browser._reader.warm_starts(),
}


@pytest.mark.parametrize("search", SEARCHES)
def test_no_search_reads_the_whole_table(search, tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
    browser = fill(store, 6)
    plans = []

    @sa.event.listens_for(store.engine, "before_cursor_execute")
    def explain(connection, cursor, statement, parameters, *_):
        if statement.startswith("SELECT"):
            rows = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.append([str(row[-1]) for row in rows])

    SEARCHES[search](browser)
    store.close()
    assert plans
    for step in (step for plan in plans for step in plan):
        # The index of changes has the few rows that are no requests.
        few = "events_of_changes" in step or "subquery" in step or step.startswith("SCAN anon")
        assert few or not step.startswith("SCAN"), plans
        # Only rows of one name are sorted, and these from the index alone.
        assert "TEMP B-TREE" not in step or search in ("named", "session", "calls"), plans


def test_a_search_does_not_delay_the_writer(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'log.db'}")
    fill(store)
    found = []

    def look(one):
        # In the middle of a search, as another thread would: a commit does not wait for it.
        if not found:
            found.append(one)
            store.append(made("late", 5000.0))
            store.flush(timeout=30.0)
        return True

    seen = LogBrowser(store).decisions(Wanted(where=look))
    assert len(seen.decisions) == 30
    assert store.durable == 61
    store.close()
