import io
import json

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from floorline.replay.compare import compare
from floorline.replay.run import stream_means
from floorline.replay.spec import Spec
from floorline.replay.tables import markdown_results, records, rich_table, save


@pytest.fixture(scope="module")
def results(simulated):
    return compare(
        simulated,
        [
            Spec(policy, floor, seed=seed, horizon=40)
            for floor in (0.7, 0.9)
            for policy in ("mess_plus", "static_mix", "oracle")
            for seed in range(2)
        ],
        jobs=1,
    )


@pytest.fixture(scope="module")
def means(simulated):
    return stream_means(simulated, np.arange(simulated.rows))


def test_cost_at_equal_satisfaction_is_relative_to_the_mix_of_the_same_satisfaction(results, means):
    quality, cost = means
    lines = markdown_results(results, means, cost_unit="USD").splitlines()
    header = [cell.strip() for cell in lines[0].split("|")]
    shown = {
        (cells[1], cells[2]): float(cells[header.index("/ equal")])
        for cells in ([cell.strip() for cell in line.split("|")] for line in lines[2:])
    }
    for floor in (0.7, 0.9):
        runs = [r.scores for r in results if (r.spec.policy, r.spec.floor) == ("mess_plus", floor)]
        expected = []
        for scores in runs:
            mixes = [
                share * cost[a] + (1 - share) * cost[b]
                for a in range(len(cost))
                for b in range(len(cost))
                for share in np.linspace(0, 1, 2001)
                if share * quality[a] + (1 - share) * quality[b]
                >= min(scores.satisfaction, quality.max()) - 1e-12
            ]
            expected.append(scores.cost / min(mixes))
        assert shown[f"{floor:g}", "mess_plus"] == pytest.approx(np.mean(expected), rel=0.03)


@pytest.mark.parametrize("wide", [True, False])
def test_the_table_shows_every_policy_at_every_floor(wide, results, means):
    out = io.StringIO()
    Console(file=out, width=110 if wide else 80).print(
        rich_table(results, means, title="forty requests", cost_unit="USD", wide=wide)
    )
    text = out.getvalue()
    lines = text.splitlines()
    assert "forty requests" in text
    assert max(map(len, lines)) <= (110 if wide else 80)
    for word in ("floor 0.7", "floor 0.9", "satisfaction"):
        assert word in text
    for policy in ("mess_plus", "static_mix", "oracle"):
        (first, second) = (line for line in lines if line.strip().startswith(policy))
        assert "±" in first
        assert first != second
    assert "…" not in text


def test_there_is_one_record_per_run_without_times(results):
    rows = records(results)
    assert len(rows) == 12
    assert rows[0]["policy"] == "mess_plus"
    assert (rows[1]["seed"], rows[1]["floor"], rows[1]["feedback"]) == (1, 0.7, "full")
    assert not {name for row in rows for name in row if "us" in name.split("_")}
    assert sum(json.loads(rows[0]["calls"]).values()) == pytest.approx(1.0)


def test_results_in_parquet_and_json_equal_the_records(results, tmp_path):
    written = save(results, tmp_path / "new" / "folder", about={"digest": "abc"})
    assert [path.name for path in written] == ["results.parquet", "results.json", "times.json"]
    frame = pl.read_parquet(written[0])
    document = json.loads(written[1].read_text())
    assert frame.to_dicts() == document["runs"] == records(results)
    assert document["digest"] == "abc"
    times = json.loads(written[2].read_text())
    assert len(times) == 12
    assert all(entry["decide_us_p50"] > 0 for entry in times)
