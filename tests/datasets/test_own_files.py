"""Files of the user's own: delimiters, encodings, packing, labels, and columns that are guessed."""

import bz2
import csv
import gzip
import io
import json
import logging
import lzma
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from floorline.datasets import load
from floorline.datasets.files import kind_of
from floorline.datasets.guess import guess_columns
from floorline.datasets.registry import available
from floorline.errors import DataError, FloorlineError, InvalidInput

HEADER = ("prompt", "small_score", "small_cost", "large_score", "large_cost")
ROWS = [
    ("What is 2 + 2?", 1, 0.0001, 1, 0.25),
    ('Say "hi", twice\nor more', 0, 0.0002, 1, 0.5),
    ("Äpfel; Öl, Brot", 0, 0.0003, 1, 1.25),
]

COLUMNS = "small:small_score:small_cost,large:large_score:large_cost"


def delimited(sign=",", rows=ROWS, header=HEADER, end="\r\n", show=str):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=sign, lineterminator=end)
    writer.writerow(header)
    writer.writerows([[cell if isinstance(cell, str) else show(cell) for cell in r] for r in rows])
    return stream.getvalue()


def comma(cell):
    return str(cell).replace(".", ",")


LINES = "\n".join(json.dumps(dict(zip(HEADER, row, strict=True))) for row in ROWS)
LIST = json.dumps([dict(zip(HEADER, row, strict=True)) for row in ROWS], indent=2)
TRUTHS = [(p, bool(a), b, bool(c), d) for p, a, b, c, d in ROWS]

FILES = {
    "plain.csv": delimited().encode(),
    "upper.CSV": delimited().encode(),
    "text.txt": delimited("\t").encode(),
    "without a suffix": LINES.encode(),
    "unix.csv": delimited(end="\n").encode(),
    "tabs.tsv": delimited("\t").encode(),
    "tabs.csv": delimited("\t").encode(),
    "Tabs.TSV": delimited("\t").encode(),
    "semicolons.csv": delimited(";").encode(),
    "bars.csv": delimited("|").encode(),
    "decimal commas.csv": delimited(";", show=comma).encode(),
    "quoted decimal commas.csv": delimited(",", show=comma).encode(),
    "excel.csv": ("sep=;\r\n" + delimited(";", show=comma)).encode("utf-8-sig"),
    "mark.csv": delimited().encode("utf-8-sig"),
    "excel unicode.csv": delimited("\t").encode("utf-16"),
    "big endian.csv": b"\xfe\xff" + delimited().encode("utf-16-be"),
    "excel ansi.csv": delimited(";", show=comma).encode("cp1252"),
    "spaces.csv": delimited(header=[f" {name} " for name in HEADER]).encode(),
    "index.csv": delimited(rows=[(1, *row) for row in ROWS], header=["", *HEADER]).encode(),
    "empty rows.csv": (delimited() + ",,,,\r\n\r\n,,,,\r\n").encode(),
    "empty ends.csv": delimited(rows=[(*row, "", "") for row in ROWS]).encode(),
    "truths.csv": delimited(rows=TRUTHS).encode(),
    "upper truths.csv": delimited(rows=TRUTHS, show=lambda c: str(c).upper()).encode(),
    "yes.csv": delimited(
        rows=[(p, "Yes" if a else "no", b, "y" if c else "n", d) for p, a, b, c, d in ROWS]
    ).encode(),
    "packed.csv.gz": gzip.compress(delimited().encode()),
    "packed.CSV.GZ": gzip.compress(delimited().encode()),
    "packed.tsv.bz2": bz2.compress(delimited("\t").encode()),
    "packed.csv.xz": lzma.compress(delimited().encode()),
    "packed without saying so.csv": gzip.compress(delimited().encode()),
    "lines.jsonl": LINES.encode(),
    "lines.ndjson": (LINES + "\n\n").encode(),
    "lines.JSONL": LINES.encode("utf-8-sig"),
    "lines.json": LINES.encode(),
    "list.json": LIST.encode(),
    "lines.jsonl.gz": gzip.compress(LINES.encode()),
    "utf-16.jsonl": LINES.encode("utf-16"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("columns", [None, COLUMNS])
def test_one_table_in_many_files(tmp_path, name, columns):
    path = tmp_path / name
    path.write_bytes(FILES[name])
    table = load(path, columns=columns)
    assert table.models == ("small", "large")
    assert list(table.prompts) == [row[0] for row in ROWS]
    assert table.quality.tolist() == [[row[1], row[3]] for row in ROWS]
    assert table.cost.tolist() == [[row[2], row[4]] for row in ROWS]
    assert bool(kind_of(path)) == (name not in ("text.txt", "without a suffix"))
    assert (table.name.partition(".")[0], table.cost_unit) == (name.partition(".")[0], "USD")


def test_a_parquet_file_of_truths(tmp_path):
    path = tmp_path / "a.PARQUET"
    names = [name.replace("_", " ") for name in HEADER]
    pl.DataFrame(TRUTHS, schema=names, orient="row").write_parquet(path)
    assert load(path).quality.tolist() == [[1, 1], [0, 1], [0, 1]]


def test_rows_of_json_with_objects_messages_and_gaps(tmp_path, caplog):
    rows = [
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}],
            "category": "maths",
            "models": {"a": {"correct": ok, "usd": 0.5}, "b/c": {"correct": None, "usd": None}},
            "ids": [1, 2],
        }
        for text, ok in (("one", True), ("two", False))
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    table = load(path)
    assert (table.models, table.task) == (("a", "b/c"), ["maths", "maths"])
    assert list(table.prompts) == ["one", "two"]
    assert table.quality[:, 0].tolist() == [1, 0]
    assert not table.mask[:, 1].any()
    assert (
        "--columns 'prompt=messages,task=category,a:models.a.correct:models.a.usd," in caplog.text
    )


@pytest.mark.parametrize("mark", ["", "NA", "n/a", "NaN", "null", "None", " ", "-"])
def test_marks_of_missing_scores_are_gaps(tmp_path, mark):
    path = tmp_path / "gaps.csv"
    path.write_text(delimited(rows=[*ROWS, ("last", mark, mark, 1, 2.0)]))
    assert load(path).mask.tolist() == [[True, True]] * 3 + [[False, True]]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["0,5", "1"], [0.5, 1.0]),
        (["12,5", "1"], [12.5, 1.0]),
        (["0,0001", "1,25e-3"], [0.0001, 0.00125]),
        (["1,234", "2,5"], [1.234, 2.5]),
        (["1.5", "2"], [1.5, 2.0]),
    ],
)
def test_commas_of_fractions_in_costs(tmp_path, cells, values):
    path = tmp_path / "commas.csv"
    rows = [("a", 1, cells[0]), ("b", 1, cells[1])]
    path.write_text(delimited(";", rows=rows, header=("prompt", "m_ok", "m_usd")))
    assert load(path).cost[:, 0].tolist() == values


@pytest.mark.parametrize("cell", ["1,234", "1.234,5", "$1", "1 USD", "inf", "0x10"])
def test_a_cost_that_can_be_read_in_two_ways_is_refused(tmp_path, cell):
    path = tmp_path / "odd.csv"
    path.write_text(delimited(";", rows=[("a", 1, cell)], header=("prompt", "m_ok", "m_usd")))
    with pytest.raises(DataError, match=r"row 1, column 'm_usd': .* is not a finite number"):
        load(path)


@pytest.mark.parametrize(
    ("names", "option"),
    [
        (["question", "small_ok", "small_usd"], "prompt=question,small:small_ok:small_usd"),
        (["Prompt", "score_a", "cost_a"], "prompt=Prompt,a:score_a:cost_a"),
        (["text", "GPT-4o score", "GPT-4o cost"], "prompt=text,GPT-4o:GPT-4o score:GPT-4o cost"),
        (
            ["input", "task", "a.correct", "a.cost_usd", "b.correct", "b.cost_usd"],
            "prompt=input,task=task,a:a.correct:a.cost_usd,b:b.correct:b.cost_usd",
        ),
        (["prompt", "gpt-4", "gpt-4_cost"], "prompt=prompt,gpt-4:gpt-4:gpt-4_cost"),
        (["prompt", "m_score", "m_total_cost"], "prompt=prompt,m:m_score:m_total_cost"),
        (
            ["prompt", "m_label", "m_energy"],
            "prompt=prompt,cost_unit=J,m:m_label:m_energy",
        ),
        (["prompt", "a_score", "a_cost", "b_score"], "prompt=prompt,a:a_score:a_cost,b:b_score"),
        (["prompt", "m_score", "m_price_usd"], "prompt=prompt,m:m_score:m_price_usd"),
        (["query", "is_correct_m", "total cost m"], "prompt=query,m:is_correct_m:total cost m"),
        (
            ["prompt", "llama-3.1-8b_exact_match", "llama-3.1-8b_cost_per_request_usd"],
            "prompt=prompt,llama-3.1-8b:llama-3.1-8b_exact_match:llama-3.1-8b_cost_per_request_usd",
        ),
        (
            ["question", "openai/gpt-4o::score", "openai/gpt-4o::cost", "dataset"],
            '{"prompt": "question", "task": "dataset", "models": {"openai/gpt-4o": {"quality": '
            '"openai/gpt-4o::score", "cost": "openai/gpt-4o::cost"}}}',
        ),
        (
            ["user.prompt", "a,b_score", "a,b_cost"],
            '{"prompt": "user.prompt", "models": {"a,b": {"quality": "a,b_score", "cost": '
            '"a,b_cost"}}}',
        ),
        (
            ["prompt", "a_ok", "a_usd", "a_latency"],
            '{"prompt": "prompt", "models": {"a": {"quality": "a_ok", "cost": "a_usd", "latency": '
            '"a_latency"}}}',
        ),
    ],
)
def test_a_guess_is_said_as_the_option_that_names_the_same_columns(tmp_path, caplog, names, option):
    assert guess_columns(names).option == option
    texts = ("question", "text", "input", "task")
    rows = [["a" if "rompt" in name or name in texts else 1 for name in names]]
    path = tmp_path / "guess.csv"
    path.write_text(delimited(rows=rows, header=names))
    with caplog.at_level(logging.WARNING):
        guessed = load(path)
    assert f"columns by their names: --columns '{option}'" in caplog.text
    assert load(path, columns=option).digest == guessed.digest


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["prompt", "answer"], "no column has the name of a model and a word such as score"),
        (["a_score", "a_cost"], "no column is called prompt, question or input"),
        (["prompt", "a_score", "b_score"], "no column has a model's costs"),
        (["prompt", "model", "length", "cost"], "beside 'model' no column has scores"),
        (["prompt", "llm", "score", "length"], "beside 'llm' no column has costs"),
        (["model", "score", "cost"], "no column is called prompt, question or input"),
    ],
)
def test_columns_that_cannot_be_guessed_are_listed_with_what_to_write(tmp_path, names, why):
    path = tmp_path / "own.csv"
    path.write_text(delimited(rows=[[1] * len(names)], header=names))
    with pytest.raises(DataError) as caught:
        load(path)
    assert why in str(caught.value)
    assert "--columns" in str(caught.value)
    for name in names:
        assert repr(name) in str(caught.value)


def test_a_missing_column_names_those_that_there_are(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(delimited())
    with pytest.raises(DataError) as caught:
        load(path, columns="small:smal_score:small_cost")
    assert str(caught.value).endswith(
        "column 'smal_score': column is missing; did you mean 'small_score'? there are 'prompt', "
        "'small_score', 'small_cost', 'large_score', 'large_cost'"
    )
    with pytest.raises(DataError, match="column 'text': column is missing; there are 'prompt'"):
        load(path, columns="prompt=text,small:small_score:small_cost")


def test_a_model_without_a_column_of_costs_is_said(tmp_path, caplog):
    path = tmp_path / "own.csv"
    path.write_text(delimited())
    table = load(path, columns="small:small_score,large:large_score:large_cost")
    assert table.mean_cost[0] == 0
    assert "without a column of costs, each call costs 0: small" in caplog.text


DAMAGED = {
    "half.csv.gz": (gzip.compress(delimited(rows=ROWS * 99).encode())[:-40], "archive"),
    "half.csv.xz": (lzma.compress(delimited(rows=ROWS * 99).encode())[:-40], "archive"),
    "book.xlsx": (b"PK\x03\x04" + bytes(99), "save the sheet as CSV"),
    "book.csv": (b"PK\x03\x04" + bytes(99), "save the sheet as CSV"),
    "old book.csv": (b"\xd0\xcf\x11\xe0" + bytes(99), "save the sheet as CSV"),
    "z.csv": (b"\x28\xb5\x2f\xfd" + bytes(99), "unpack it first"),
    "zeros.csv": (bytes(999), "no text"),
    "noise.csv": (bytes(range(1, 256)) * 9, "not a text file|has a quote|header names|damaged"),
    "noise.jsonl": (bytes(range(128, 256)) * 9, "not a UTF-8 text file"),
    "noise.parquet": (bytes(range(256)) * 9, "a damaged Parquet file, or none at all"),
    "noise.npy": (bytes(range(256)) * 9, "not an .npy file"),
    "noise.pkl": (bytes(range(256)) * 9, "a damaged pickle, or none at all"),
    "blank.csv": (b"\n\n", "no header|no rows|not a known layout"),
    "blank.jsonl": (b"\n\n", "no rows"),
    "list.json": (b"[]", "no rows"),
    "half.json": (b'[{"a": 1}', "not JSON"),
    "numbers.json": (b"[1]", "not a JSON object"),
    "deep.jsonl": (b"[" * 100_000, "not JSON"),
    "open.csv": (b'prompt,a_score,a_cost\n"x,1,1\n', "a quote is not closed"),
    "short.csv": (b"prompt,a_score,a_cost\nx,1\n", "2 cells where the header has 3"),
    "long.csv": (b"prompt,a_score,a_cost\nx,1,1,1\n", "4 cells where the header has 3"),
    "twice.csv": (b"prompt,a,a\nx,1,1\n", "names a column twice"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_one_line_without_words_of_a_library(tmp_path, name):
    raw, words = DAMAGED[name]
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(DataError, match=words) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text
    for raw_word in ("Error", "Exception", "polars", "Errno", "codec", "0x"):
        assert raw_word not in text.replace(str(tmp_path), "")


def test_a_file_that_is_not_there_names_what_is_beside_it(tmp_path):
    (tmp_path / "my-logs.csv").write_text(delimited())
    with pytest.raises(InvalidInput, match=r"did you mean '.*my-logs\.csv'\?"):
        load(tmp_path / "my_log.csv")
    with pytest.raises(InvalidInput, match=r"did you mean 'simulated'\?"):
        load("simulate")


def test_a_folder_of_own_files_is_listed(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "about.json").write_text("{}")
    for name in ("a.csv.gz", "B.TSV"):
        content = FILES["packed.csv.gz" if "a" in name else "tabs.tsv"]
        (tmp_path / "mine" / name).write_bytes(content)
    monkeypatch.setenv("FLOORLINE_DATA", str(tmp_path))
    listed = {entry.name: entry.rows for entry in available()}
    assert (listed["mine/a"], listed["mine/B"]) == (3, 3)
    assert "mine/about" not in listed


@pytest.mark.parametrize("name", ["\0", "a" * 5000, "//", ""])
def test_a_name_that_no_file_can_have(name):
    with pytest.raises(FloorlineError):
        load(name)


def test_the_file_that_the_documentation_shows_is_read(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    shown = page.partition("## Your own files")[2].partition("```text\n")[2].partition("```")[0]
    path = tmp_path / "my-logs.csv"
    path.write_text(shown)
    table = load(path)
    assert (table.models, table.task) == (("small", "large"), ["maths", "maths"])
    assert table.quality.tolist() == [[1, 1], [0, 1]]
    named = "prompt=prompt,small:small_score:small_cost"
    assert load(path, columns=named).cost.tolist() == [[0.00001], [0.00002]]


LONG = [
    {"question": "a", "llm": "small", "judge_score": "yes", "cost_usd": 1, "response_time": 2},
    {"question": "b", "llm": "small", "judge_score": "no", "cost_usd": 1, "response_time": 2},
    {"question": "a", "llm": "large", "judge_score": "yes", "cost_usd": 3, "response_time": 4},
]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_with_one_row_for_each_answer(tmp_path, caplog, suffix):
    path = tmp_path / f"own.{suffix}"
    frame = pl.DataFrame(LONG)
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[suffix](
        path
    )
    table = load(path)
    assert (table.models, table.prompts) == (("small", "large"), ["a", "b"])
    np.testing.assert_array_equal(table.quality, [[1, 1], [0, np.nan]])
    np.testing.assert_array_equal(table.cost, [[1, 3], [1, np.nan]])
    assert table.latency[0].tolist() == [2, 4]
    option = "prompt=question,model=llm,quality=judge_score,cost=cost_usd,latency=response_time"
    assert f"--columns '{option}'" in caplog.text
    assert load(path, columns=option).digest == table.digest


def test_columns_of_one_row_for_each_answer_as_json(tmp_path, caplog):
    path = tmp_path / "own.csv"
    frame = pl.DataFrame(LONG).with_columns(id=pl.Series([1, 2, 3]), joules=pl.lit(5))
    frame.write_csv(path)
    chosen = {"prompt": "question", "model": "llm", "quality": "judge_score", "key": "id"}
    table = load(path, columns=json.dumps(chosen))
    assert table.prompts == ["a", "b", "a"]
    assert "each call costs 0" in caplog.text
    assert load(path, columns=chosen | {"cost": "joules", "cost_unit": "J"}).cost_unit == "J"
    with pytest.raises(DataError, match="column is missing"):
        load(path, columns=chosen | {"key": "number"})


@pytest.mark.parametrize(
    "columns",
    [
        "model=llm",
        "model=llm,quality=",
        "model=llm,quality=ok,mood=x",
        "model=llm,quality=ok,small:ok:usd",
        {"model": "llm", "quality": 3},
        {"model": "llm", "quality": "ok", "cost_unit": "EUR"},
    ],
)
def test_columns_of_one_row_for_each_answer_that_say_too_little(tmp_path, columns):
    path = tmp_path / "own.csv"
    pl.DataFrame(LONG).write_csv(path)
    with pytest.raises(InvalidInput) as caught:
        load(path, columns=columns)
    assert "\n" not in str(caught.value)


def test_a_stray_column_of_models_does_not_hide_columns_of_models(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("prompt,model,small_score,small_cost\na,x,1,2\n")
    assert load(path).models == ("small",)
