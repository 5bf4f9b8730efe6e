"""The history of a gateway: fed by events as they come and by the log, both give the same."""

import asyncio
import contextlib
import random
import time
import uuid

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.state.test_time_series import SLAS, ZOO, use

from floorline import Router
from floorline.errors import InvalidInput
from floorline.gateway.dashboard import history as module
from floorline.gateway.dashboard.history import History
from floorline.guarantees.betting import betting_interval
from floorline.state.time_series import TimeSeries
from floorline.stores.retention import vacuum
from floorline.stores.sql import SqlStore

SHORT = 0.002


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(module, "_FOLD_SECONDS", SHORT)


@contextlib.contextmanager
def scene(folder, clock=lambda: 10_000.0):
    # Hypothesis seeds ``random``, so that it repeats names.
    store = SqlStore(f"sqlite:///{folder}/{uuid.uuid4()}.db")
    router = Router(ZOO, slas=SLAS, seed=1, log=store, clock=clock)
    try:
        yield router, store, History(router, store, clock=clock)
    finally:
        store.close()


@contextlib.asynccontextmanager
async def running(history):
    task = asyncio.create_task(history.run())
    try:
        await until(lambda: history.ready)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(SHORT)


async def caught_up(history, events):
    await until(lambda: history._folded.events == events)


def folded(store):
    series = TimeSeries(slas=SLAS)
    for event in store.read():
        series.fold(event)
    return series


def state(series):
    levels = [
        [(bucket.start, bucket.cells, bucket.promises, bucket.latency) for bucket in level]
        for level in (series.minutes, series.hours)
    ]
    return levels, series.latency, series.slas, series.tenants, series.models, series.events


@settings(
    max_examples=5,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32), before=st.integers(0, 120), after=st.integers(0, 120))
def test_it_is_the_fold_of_the_log(tmp_path, seed, before, after):
    async def check():
        with scene(tmp_path) as (router, store, history):
            rng = random.Random(seed)
            use(router, rng, before)
            async with running(history):
                use(router, rng, after)
                await caught_up(history, len(store))
                whole = folded(store)
                assert state(history._folded) == state(whole)
                for name, sums in whole.labels.items():
                    kept = msgspec.structs.asdict(history._folded.labels[name])
                    assert kept == pytest.approx(msgspec.structs.asdict(sums))

    asyncio.run(check())


def test_events_during_the_first_read_are_counted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SMALL_REST", 10)

    async def check():
        with scene(tmp_path) as (router, store, history):
            rng = random.Random(1)
            use(router, rng, 300)
            task = asyncio.create_task(history.run())
            while not history.ready:
                use(router, rng, 1)
                await asyncio.sleep(SHORT)
            await caught_up(history, len(store))
            assert state(history._folded) == state(folded(store))
            task.cancel()

    asyncio.run(check())


def test_a_stop_ends_the_first_read(tmp_path, monkeypatch):
    async def check():
        with scene(tmp_path) as (router, _store, history):
            use(router, random.Random(1), 300)
            task = asyncio.create_task(history.run())
            await until(lambda: history.version > 0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            router.route("hello")
            await asyncio.sleep(0.05)
            assert not history.ready
            assert not history._waiting

    asyncio.run(check())


def test_a_backlog_is_read_from_the_log_instead(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOST_WAITING", 20)

    async def check():
        with scene(tmp_path) as (router, store, history):
            history._waiting = type(history._waiting)(maxlen=21)
            async with running(history):
                use(router, random.Random(1), 30)
                await caught_up(history, len(store))
                assert state(history._folded) == state(folded(store))

    asyncio.run(check())


def test_after_a_fault_the_log_is_read_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "_FAULT_SECONDS", SHORT)

    async def check():
        with scene(tmp_path) as (router, store, history):
            async with running(history):
                fold, faults = TimeSeries.fold, [1]

                def failing(self, event):
                    if faults:
                        faults.pop()
                        raise RuntimeError("a fault")
                    fold(self, event)

                monkeypatch.setattr(TimeSeries, "fold", failing)
                use(router, random.Random(1), 30)
                await until(lambda: not faults)
                await caught_up(history, len(store))
                assert state(history._folded) == state(folded(store))

    asyncio.run(check())
    assert "the dashboard could not count an event" in caplog.text


def test_a_damaged_log_leaves_the_history_empty_and_the_gateway_alive(tmp_path, monkeypatch):
    async def check():
        with scene(tmp_path) as (router, store, history):
            use(router, random.Random(1), 30)
            broken = store.damaged("an event is missing")
            monkeypatch.setattr(store, "numbered", lambda start: (_ for _ in ()).throw(broken))
            async with running(history):
                router.route("hello")
                await until(lambda: history.series(3600.0).whole().requests == 1)

    asyncio.run(check())


def test_a_deletion_of_old_events_during_the_first_read_does_not_matter(tmp_path, monkeypatch):
    async def read():
        with scene(tmp_path) as (router, store, history):
            use(router, random.Random(1), 60)
            store.flush()
            store.write_snapshot(len(store), router.snapshot())
            read_position = store.position_at

            def position_at(at):
                found = read_position(at)
                if found == 0:
                    vacuum(store.engine, 40.0)
                return found

            monkeypatch.setattr(store, "position_at", position_at)
            async with running(history):
                assert store.first() > 0
                await caught_up(history, len(store) - store.first())

    asyncio.run(read())


def test_a_promise_ends_at_what_its_certificate_says(tmp_path):
    async def check():
        now = [0.0]
        with scene(tmp_path, lambda: now[0]) as (router, _store, history):
            use(router, random.Random(2), 150)
            now[0] = 150 * 37.0
            async with running(history):
                for span in (3600.0, 86_400.0, 7 * 86_400.0):
                    promise = history.promise("gold", span)
                    status = router.status("gold")
                    assert promise.times[-1] == now[0]
                    assert promise.labels[-1] == status.labels
                    assert promise.mean[-1] == pytest.approx(status.satisfaction)
                    assert promise.lower[-1] == pytest.approx(status.lower)
                    assert promise.upper[-1] == pytest.approx(status.upper)
                    assert promise.floor[-1] == pytest.approx(router.certificate("gold").floor)

    asyncio.run(check())


def test_a_promise_was_what_the_labels_said_then(tmp_path):
    async def check():
        now = [0.0]
        with scene(tmp_path, lambda: now[0]) as (router, store, history):
            async with running(history):
                for minute in range(20):
                    now[0] = 60.0 * minute + 1.0
                    decision = router.route("hello", "gold")
                    router.feedback(decision.id, satisfied=minute % 4 != 0)
                await caught_up(history, len(store))
                promise = history.promise("gold", 3600.0)
        first = len(promise.times) - 20
        assert promise.mean[:first] == promise.lower[:first] == [None] * first
        for count in range(1, 21):
            satisfied = count - len(range(0, count, 4))
            interval = betting_interval(count, satisfied, 0.05)
            assert promise.labels[first + count - 1] == count
            assert promise.mean[first + count - 1] == pytest.approx(satisfied / count)
            assert promise.lower[first + count - 1] == pytest.approx(interval.lower)
            assert promise.upper[first + count - 1] == pytest.approx(interval.upper)

    asyncio.run(check())


def test_a_promise_of_latency_ends_at_what_its_certificate_says(tmp_path):
    async def check():
        now = [0.0]
        with scene(tmp_path, lambda: now[0]) as (router, store, history):
            use(router, random.Random(2), 150)
            now[0] = 150 * 37.0
            async with running(history):
                use(router, random.Random(3), 30)
                await caught_up(history, len(store))
                for span in (3600.0, 7 * 86_400.0):
                    found = history.latency_promises("gold", span)
                    certificates = router.certificate("gold").latency
                    assert [one.promise.name for one in found] == [
                        "ttft p90 1 s", "latency p50 1.5 s", "latency p95 2.5 s",
                    ]  # fmt: skip
                    for one, certificate in zip(found, certificates, strict=True):
                        assert certificate.unknown > 0
                        assert one.requests[-1] == certificate.requests
                        assert one.within[-1] == pytest.approx(certificate.within)
                        assert one.lower[-1] == pytest.approx(certificate.lower)
                        assert one.upper[-1] == pytest.approx(certificate.upper)

    asyncio.run(check())


def test_labels_from_before_the_kept_time_count_in_a_promise(tmp_path):
    async def check():
        now = [0.0]
        with scene(tmp_path, lambda: now[0]) as (router, _store, history):
            for _ in range(30):
                router.feedback(router.route("hello", "gold").id, satisfied=True)
            now[0] = 60 * 86_400.0
            router.feedback(router.route("hello", "gold").id, satisfied=False)
            async with running(history):
                promise = history.promise("gold", 86_400.0)
                assert promise.labels[0] == 30
                assert promise.labels[-1] == 31
                assert promise.mean[-1] == pytest.approx(30 / 31)

    asyncio.run(check())


def test_labels_that_come_after_a_quiet_month_are_added_to_those_before_it(tmp_path):
    async def check():
        now = [0.0]
        with scene(tmp_path, lambda: now[0]) as (router, store, history):
            for _ in range(30):
                made = router.route("hello", "gold")
                router.outcome(made.id, cost=1.0, latency=1.0)
                router.feedback(made.id, satisfied=True)
            store.flush()
            now[0] = 60 * 86_400.0
            async with running(history):
                made = router.route("hello", "gold")
                router.outcome(made.id, cost=1.0, latency=1.0)
                router.feedback(made.id, satisfied=False)
                await caught_up(history, 3)
                promise = history.promise("gold", 86_400.0)
                assert promise.labels[-1] == 31
                assert promise.mean[-1] == pytest.approx(30 / 31)
                _, made, _ = history.latency_promises("gold", 86_400.0)
                assert (made.requests[0], made.requests[-1]) == (30, 31)

    asyncio.run(check())


def test_an_unknown_sla_is_named(tmp_path):
    wrong = pytest.raises(InvalidInput, match="sla is 'bronze': name one of: gold, silver")
    with scene(tmp_path) as (_router, _store, history), wrong:
        history.promise("bronze", 3600.0)


def test_a_series_ends_with_the_present_bucket(tmp_path):
    async def check():
        now = [90_000.0]
        with scene(tmp_path, lambda: now[0]) as (router, store, history):
            async with running(history):
                router.route("hello", "gold")
                now[0] += 300.0
                router.route("hello", "silver")
                await caught_up(history, len(store))
                hour = history.series(3600.0)
                assert hour.step == 60.0
                assert len(hour.times) == 60
                assert hour.times[-1] <= now[0] < hour.times[-1] + 60.0
                assert [totals.requests for totals in hour.totals][-6:] == [1, 0, 0, 0, 0, 1]
                assert history.series(3600.0, sla="silver").whole().requests == 1
                by_sla = history.by_sla(3600.0)
                assert {name: totals.requests for name, totals in by_sla.items()} == {
                    "gold": 1,
                    "silver": 1,
                }
                assert by_sla["silver"] == history.series(3600.0, sla="silver").whole()
                assert history.by_tenant(3600.0)[""] == history.series(3600.0).whole()
                assert history.by_tenant(3600.0, sla="none") == {}
                assert history.by_sla(3600.0, tenant="none") == {}
                assert history.series(86_400.0).step == 300.0
                month = history.series(30 * 86_400.0)
                assert (month.step, len(month.times)) == (3600.0, 720)
                assert month.whole().requests == 2

    asyncio.run(check())


def test_the_first_event_in_time_is_found_by_few_reads(tmp_path):
    with scene(tmp_path) as (router, store, _history):
        for number in range(50):
            router.route("hello", at=100.0 * number)
        store.flush()
        assert [store.position_at(at) for at in (-1.0, 0.0, 950.0, 1000.0, 1e9)] == [
            0, 0, 10, 10, 50,
        ]  # fmt: skip


@pytest.mark.slow
def test_a_listener_costs_a_request_nothing_that_can_be_measured(tmp_path):
    with scene(tmp_path, time.time) as (router, _store, _history):
        taken = []
        times = []
        for listener in (None, taken.append) * 20:
            router.listen(listener)
            began = time.process_time()
            for _ in range(50):
                router.route("hello")
            times.append(time.process_time() - began)
        without, with_listener = sorted(times[::2])[10], sorted(times[1::2])[10]
        assert with_listener < 1.25 * without


def test_sums_of_any_number_of_filters_take_bounded_memory(tmp_path):
    memo, folded = module.SeriesMemo(), TimeSeries()
    window = module.Window.of(folded, 3600.0, 10_000.0)
    for number in range(1000):
        module.traffic(window, None, f"no tenant {number}", memo)
    assert len(memo._kept) <= 64
