"""What the charts draw, and what the tables say, is what the API says."""

import csv
import io
import json

import pytest
from tests.browser.pages import DATA, PAGES, path_of, settle

_DRAWN = "all => all.map((one) => ({...one.dataset, drawn: one.drawn || null}))"


@pytest.mark.parametrize("name", PAGES)
def test_charts_draw_their_data(visits, scene, name):
    watched = visits.open(path_of(scene, name))
    page = watched.page
    settle(page)
    for chart in page.locator("figure.chart").evaluate_all(_DRAWN):
        table = page.request.get(scene.url + chart["source"]).json()
        known = points(chart, table)
        named = {chart.get("floor")} | {chart.get(edge) for edge in ("lower", "upper")}
        assert chart["state"] in ("drawn", "empty"), chart["source"]
        counted = chart["unit"] in ("count", "money")
        if any(
            series not in named and (value or not counted) for (series, _), value in known.items()
        ):
            assert chart["state"] == "drawn", chart["source"]
        if chart["drawn"] is not None:
            assert drawn_points(chart) == known, chart["source"]


def drawn_points(chart):
    """(Series, time) → value of what a chart has drawn."""
    drawn = chart["drawn"]
    return {
        (series["name"], time): value
        for series in drawn["series"]
        for time, value in zip(drawn["times"], series["values"], strict=True)
        if value is not None
    }


def points(chart, table):
    """(Series, time) → value of the API's rows that a chart is about."""
    place = {name: number for number, name in enumerate(table["columns"])}
    time = place[chart["x"]]
    only = json.loads(chart.get("only", "{}"))
    rows = [row for row in table["rows"] if all(row[place[n]] == only[n] for n in only)]
    table = {**table, "rows": rows}
    if "group" in chart:
        rows = (
            (row[place[chart["group"]]], row[time], row[place[chart["y"]]]) for row in table["rows"]
        )
        return {(str(name), at): value for name, at, value in rows if value is not None}
    left = {chart["x"], *chart.get("leaveOut", "").split(",")}
    shown = [name for name in table["columns"] if name not in left]
    shown = chart["y"].split(",") if chart["y"] else shown
    named = [*shown, *(chart.get(edge) for edge in ("lower", "upper", "floor"))]
    return {
        (name, row[time]): row[place[name]]
        for name in named
        if name in place
        for row in table["rows"]
        if row[place[name]] is not None
    }


@pytest.mark.parametrize("name", DATA)
def test_csv_and_json_say_the_same(visits, scene, name):
    request = visits.open("/dashboard").page.request
    answer = request.get(f"{scene.url}/dashboard/data/{name}.json?since=7d")
    assert answer.status == 200, answer.text()
    table = answer.json()
    text = request.get(f"{scene.url}/dashboard/data/{name}.csv?since=7d").text()
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == table["columns"]
    assert len(rows) - 1 == len(table["rows"])


@pytest.mark.parametrize(
    ("viewer", "key"),
    [("operator", "operator"), ("acme viewer", "acme"), ("globex viewer", "globex")],
)
def test_the_overview_says_what_the_api_says(visits, scene, viewer, key):
    text = visits.open("/dashboard", viewer).page.locator("main").inner_text()
    slas = scene.api("/v1/slas", key)["data"]
    assert len(slas) >= 4
    for sla in slas:
        assert sla["name"] in text
        if sla["labels"]:
            assert sla["verdict"] in text
            assert f"{100 * sla['satisfaction']:.1f}".rstrip("0").rstrip(".") in text
            assert f"{sla['labels']:,}" in text
