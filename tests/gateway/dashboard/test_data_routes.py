"""Tables of data over HTTP, as JSON and as CSV."""

import csv
import io
import threading

import pytest
from tests.support.live_gateway import wait_until

from floorline.gateway.dashboard import tables
from floorline.gateway.dashboard.tables import Table, TableSource, csv_of, data_table

NAMES = ("promises", "traffic", "spend", "latency", "models", "model_share")


@pytest.fixture
def used(gateway):
    for number in range(6):
        answer = gateway.chat(model="floorline/gold" if number % 2 else "floorline/silver")
        body = {"id": answer.headers["x-floorline-decision"], "satisfied": number != 3}
        assert gateway.http.post("/v1/feedback", json=body).status_code == 200
    wait_until(lambda: _whole(gateway, "traffic", "labels") == 6)
    return gateway


def read(gateway, name, **query):
    answer = gateway.http.get(f"/dashboard/data/{name}.json", params=query)
    assert answer.status_code == 200, answer.text
    table = answer.json()
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def _whole(gateway, name, column, **query):
    return sum(row[column] or 0 for row in read(gateway, name, **query))


@pytest.mark.parametrize("name", NAMES)
def test_csv_has_the_rows_of_json(used, name):
    rows = read(used, name)
    answer = used.http.get(f"/dashboard/data/{name}.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="floorline-{name}.csv"'
    written = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(written) == len(rows) > 0
    for line, row in zip(written, rows, strict=True):
        assert list(line) == list(row)
        # The last point of a promise is the present.
        assert float(line.pop("at", 0.0)) == pytest.approx(row.pop("at", 0.0), abs=5.0)
        for column, value in row.items():
            assert line[column] == ("" if value is None else str(value))


def test_traffic_and_spending_are_those_of_the_slas(used):
    statuses = used.http.get("/v1/slas").json()["data"]
    for status in statuses:
        name = status["name"]
        assert _whole(used, "traffic", "requests", sla=name) == status["requests"] == 3
        assert _whole(used, "traffic", "labels", sla=name) == status["labels"] == 3
        assert _whole(used, "spend", "spend", sla=name) == pytest.approx(status["spent"])
        last = read(used, "promises", sla=name)[-1]
        assert last["mean"] == pytest.approx(status["satisfaction"])
        assert last["lower"] == pytest.approx(status["lower"])
        assert last["upper"] == pytest.approx(status["upper"])
    assert _whole(used, "traffic", "requests") == 6


def test_models_have_their_shares_and_latencies(used):
    rows = read(used, "models")
    assert sum(row["share"] for row in rows) == pytest.approx(1.0)
    assert all(row["calls"] == row["decisions"] > 0 for row in rows)
    assert all(0.0 < row["ttft_p50"] <= row["latency_p95"] < 10.0 for row in rows)
    shares = read(used, "model_share")
    for row in rows:
        assert sum(step[row["model"]] for step in shares) == row["decisions"]


@pytest.mark.parametrize(
    ("query", "field"),
    [({"since": "1y"}, "since"), ({"sla": "bronze"}, "sla")],
)
def test_bad_filters_are_named(gateway, query, field):
    answer = gateway.http.get("/dashboard/data/traffic.json", params=query)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"{field} is '{query[field]}': ")


@pytest.mark.parametrize("path", ["nothing.json", "traffic.xml", "traffic"])
def test_unknown_data_are_named(gateway, path):
    answer = gateway.http.get(f"/dashboard/data/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"]


def test_answers_are_not_kept_by_caches(gateway):
    for ending in ("json", "csv"):
        answer = gateway.http.get(f"/dashboard/data/traffic.{ending}")
        assert answer.headers["cache-control"] == "no-store"


def test_a_table_of_the_store_is_made_in_a_thread(gateway, monkeypatch):
    ran = []

    def made(dashboard, viewer, filters):
        ran.append(threading.get_ident())
        return Table(("a",), [[float("nan")], [1]])

    monkeypatch.setitem(tables.TABLES, "odd", TableSource(made))
    assert read(gateway, "odd") == [{"a": None}, {"a": 1}]
    loop_thread = gateway.call(threading.get_ident)
    assert ran[0] != loop_thread


def test_two_tables_cannot_have_one_name():
    with pytest.raises(ValueError, match="two tables 'traffic'"):
        data_table("traffic")(lambda dashboard, viewer, filters: Table((), ()))


def test_no_text_of_a_client_is_a_formula_in_a_spreadsheet():
    rows = [[text] for text in ("=1+1", "+1", "-1", "@a", "\tx", "plain")]
    written = csv_of(Table(("name",), [*rows, [-1.5]])).splitlines()
    assert written == ["name", "'=1+1", "'+1", "'-1", "'@a", "'\tx", "plain", "-1.5"]


def test_a_table_is_made_once_for_viewers_with_equal_rights(gateway, monkeypatch):
    made = []

    def count(dashboard, viewer, filters):
        made.append(filters)
        return Table(("a",), [[len(made)]])

    monkeypatch.setitem(tables.TABLES, "counted", TableSource(count, fresh_for=60.0))
    assert [read(gateway, "counted") for _ in range(3)] == [[{"a": 1}]] * 3
    assert read(gateway, "counted", since="1h") == [{"a": 2}]
    monkeypatch.setitem(tables.TABLES, "counted", TableSource(count, fresh_for=0.0))
    assert [read(gateway, "counted") for _ in range(2)] == [[{"a": 3}], [{"a": 4}]]


def test_a_table_that_failed_is_made_again(gateway, monkeypatch):
    failing = [True]

    def made(dashboard, viewer, filters):
        if failing:
            raise RuntimeError("a fault")
        return Table(("a",), [[1]])

    monkeypatch.setitem(tables.TABLES, "failing", TableSource(made, fresh_for=60.0))
    assert gateway.http.get("/dashboard/data/failing.json").status_code == 500
    failing.clear()
    assert read(gateway, "failing") == [{"a": 1}]
