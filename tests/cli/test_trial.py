"""``floorline trial``: labelled responses of live models, within a cap on the cost."""

import csv
import http.server
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.support.live_gateway import wait_until

from floorline.cli.app import main
from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.replay import Spec, prepare, replay

CONFIG = """
defaults: {endpoint: "URL", input_price: 1000, output_price: 10000, retries: 1}
models:
  - {name: small, model: s, timeouts: {first_byte: 0.3s}}
  - {name: llama3.1, model: l, call_price: 1}
slas: [{name: gold, floor: 0.9}]
"""
PROMPTS = [("What is 1+1?", "2"), ("Capital of France?", "Paris"), ('Say, "hi"\n;', "hi")]
PER_CALL = 2.1
"""Cost of a call of ``small``: 100 prompt tokens at 1,000 and 200 at 10,000 per million."""


class Provider:
    """A scripted provider on loopback.

    ``answers`` maps the provider's names of models to functions of the prompt, which return a text,
    a status of an error, or None to say nothing until the client leaves.
    """

    def __init__(self):
        provider = self
        self.asked = []
        self.answers = {"s": lambda prompt: "2", "l": lambda prompt: "It is Paris, 2 or hi."}
        self.released = threading.Event()
        self.waiting = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                provider.asked.append(body)
                found = provider.answers[body["model"]](body["messages"][-1]["content"])
                if found is None:
                    provider.waiting.set()
                    provider.released.wait(60)
                elif isinstance(found, int):
                    self.answer(found, {"error": {"message": "no luck today"}})
                else:
                    message = {"role": "assistant", "content": found}
                    choice = {"index": 0, "message": message, "finish_reason": "stop"}
                    usage = {"prompt_tokens": 100, "completion_tokens": 200}
                    self.answer(200, {"id": "c", "choices": [choice], "usage": usage})

            def answer(self, status, value):
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *about):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def provider():
    found = Provider()
    yield found
    found.close()


@pytest.fixture
def arguments(provider, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "floorline.yaml").write_text(CONFIG.replace("URL", provider.url))
    with (tmp_path / "prompts.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("prompt", "answer"), *PROMPTS])
    given = ["trial", "--prompts", "prompts.csv", "--n", "3", "--max-tokens", "300"]
    return [*given, "--match", "contains"]


def rows(path="trial.csv"):
    with Path(path).open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def edit(old, new):
    """Change the table as a spreadsheet writes it: without a byte order mark."""
    text = Path("trial.csv").read_bytes().decode("utf-8-sig")
    assert old in text
    Path("trial.csv").write_bytes(text.replace(old, new).encode())


def test_the_table_is_read_by_hints_replays_and_warm_starts(arguments, provider, capfd):
    assert main([*arguments, "--max-cost", "100"]) == 0
    table = load("trial.csv")
    assert table.models == ("small", "llama3.1")
    assert sorted(table.prompts) == sorted(prompt for prompt, _ in PROMPTS)
    assert table.mean_quality.tolist() == pytest.approx([1 / 3, 1.0])
    assert table.mean_cost.tolist() == pytest.approx([PER_CALL, PER_CALL + 1])
    run = replay(prepare(table, make_encoder("hashed")), Spec("primal_dual", 0.5))
    assert len(run.model) == 3
    capfd.readouterr()
    assert main(["hints", "trial.csv"]) == 0
    assert "llama3.1: {quality: 1, weight: 3}" in capfd.readouterr().out
    assert {body["max_tokens"] for body in provider.asked} == {300}


def test_what_may_be_spent_is_reserved_and_never_exceeded(arguments, provider, capfd):
    # A call of small can cost 3 and a little for the prompt, one of llama3.1 one more.
    assert main([*arguments, "--max-cost", "13"]) == 0
    shown = " ".join(capfd.readouterr().err.split())
    assert "stopped before the cap, after 2 of 3 prompts" in shown
    assert len(provider.asked) == 4
    spent = sum(float(row["trial|spent"]) for row in rows())
    assert spent == pytest.approx(2 * (2 * PER_CALL + 1))
    # The cap holds for the table, whatever the number of runs.
    assert main([*arguments, "--max-cost", "13"]) == 0
    assert len(provider.asked) == 4
    assert main([*arguments, "--max-cost", "20"]) == 0
    assert len(provider.asked) == 6


def test_a_cap_below_the_first_prompt_is_an_error_that_says_what_is_needed(
    arguments, provider, capfd
):
    assert main([*arguments, "--max-cost", "1"]) == 2
    shown = " ".join(capfd.readouterr().err.split())
    assert "--max-cost is 1.0: the next prompt may cost" in shown
    assert provider.asked == []


def test_what_is_there_is_kept_and_more_prompts_go_on_from_it(arguments, provider):
    assert main([*arguments, "--max-cost", "100", "--n", "2"]) == 0
    before = rows()
    # Scores of a person.
    edit(",0,2,2.1,", ",0.5,2,2.1,")
    assert main([*arguments, "--max-cost", "100"]) == 0
    after = rows()
    assert len(after) == 3
    assert len(provider.asked) == 6
    changed = [dict(row, small=row["small"].replace("0.5", "0")) for row in after[:2]]
    assert changed == before
    assert "0.5" in [row["small"] for row in after]


def test_without_answers_the_scores_are_left_to_be_filled_in(arguments, capfd):
    Path("prompts.csv").write_text("prompt\nWhy?\n")
    assert main([*arguments, "--max-cost", "100"]) == 0
    shown = " ".join(capfd.readouterr().out.split())
    assert "fill in the empty columns small, llama3.1 of trial.csv" in shown
    (row,) = rows()
    assert (row["small"], row["small|model_response"]) == ("", "2")
    assert main(["hints", "trial.csv"]) == 2
    edit(",,2,", ",yes,2,")
    assert main(["hints", "trial.csv"]) == 0


def test_a_failing_model_is_left_empty_and_called_again_by_the_next_run(arguments, provider, capfd):
    sound, provider.answers["l"] = provider.answers["l"], lambda prompt: 500
    assert main([*arguments, "--max-cost", "100"]) == 0
    shown = " ".join(capfd.readouterr().err.split())
    assert "calls failed, the last one" in shown
    assert [row["llama3.1|total_cost"] for row in rows()] == ["", "", ""]
    assert load("trial.csv").models == ("small", "llama3.1")
    provider.answers["l"] = sound
    assert main([*arguments, "--max-cost", "100"]) == 0
    assert all(row["llama3.1"] == "1" for row in rows())
    assert sum(float(row["trial|spent"]) for row in rows()) == pytest.approx(6 * PER_CALL + 3)


def test_a_call_that_may_have_been_charged_counts_in_full(arguments, provider):
    provider.answers["s"] = lambda prompt: None
    assert main([*arguments, "--max-cost", "100", "--n", "1", "--model", "small"]) == 2
    (row,) = rows()
    assert float(row["trial|spent"]) >= 3.0
    assert row["small|total_cost"] == ""
    # It was sent once: an attempt that may be charged is not repeated.
    assert len(provider.asked) == 1


def test_a_judge_grades_within_the_cap_and_also_earlier_responses(arguments, provider, capfd):
    config = Path("floorline.yaml").read_text()
    config = config.replace("slas:", "  - {name: judge, model: j, input_price: 1}\nslas:")
    Path("floorline.yaml").write_text(config)
    provider.answers["j"] = lambda prompt: "0.75" if "It is Paris" in prompt else "Grade: 0"
    chosen = [*arguments, "--model", "small", "--model", "llama3.1"]
    Path("prompts.csv").write_text("prompt\nWhy?\nHow?\n")
    assert main([*chosen, "--max-cost", "100", "--n", "1"]) == 0
    assert main([*chosen, "--max-cost", "100", "--n", "2", "--judge", "judge"]) == 0
    assert [(row["small"], row["llama3.1"]) for row in rows()] == [("0", "0.75")] * 2
    asked = [body["model"] for body in provider.asked]
    assert (asked.count("s"), asked.count("l"), asked.count("j")) == (2, 2, 4)
    # 100 prompt tokens cost 0.0001 each call, and 64 tokens at most are charged for a grade.
    spent = sum(float(row["trial|spent"]) for row in rows())
    assert 4 * PER_CALL + 2 < spent <= 4 * PER_CALL + 2 + 4 * 0.65
    # Nothing is left to do, whatever the cap.
    assert main([*chosen, "--max-cost", "0", "--n", "2", "--judge", "judge"]) == 0
    assert len(provider.asked) == 8
    Path("trial.csv").unlink()
    # Response and grade are reserved together.
    assert main([*chosen, "--max-cost", "7.2", "--n", "1", "--judge", "judge"]) == 2
    assert "--max-cost is 7.2: the next prompt may cost" in " ".join(capfd.readouterr().err.split())
    assert len(provider.asked) == 8


def test_a_response_is_no_formula_of_a_spreadsheet(arguments, provider):
    provider.answers["s"] = lambda prompt: '=HYPERLINK("http://x")\0\ud800'
    assert main([*arguments, "--max-cost", "100"]) == 0
    assert rows()[0]["small|model_response"] == '\'=HYPERLINK("http://x") ?'
    assert len(load("trial.csv").prompts) == 3


def test_an_interrupted_trial_loses_nothing_and_goes_on(arguments, provider, capfd):
    seen = []
    answers = provider.answers["l"]

    def second_hangs(prompt):
        seen.append(prompt)
        return None if len(seen) == 2 else answers(prompt)

    provider.answers["l"] = second_hangs
    command = [sys.executable, "-m", "floorline", *arguments, "--max-cost", "100"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert provider.waiting.wait(60)
    # Both models are asked at once, in either order.
    wait_until(lambda: len(provider.asked) == 4)
    # Two trials would each spend up to the cap.
    calls = len(provider.asked)
    assert main([*arguments, "--max-cost", "100"]) == 2
    assert "another trial writes this table" in " ".join(capfd.readouterr().err.split())
    assert len(provider.asked) == calls
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "the same command goes on from there" in " ".join(err.split())
    first, second = rows()[:2]
    assert first["llama3.1"] == "1"
    assert second["llama3.1|total_cost"] == ""
    # The call that hung may be charged.
    assert float(second["trial|spent"]) >= PER_CALL + 4.0 or not second["small|total_cost"]
    provider.released.set()
    calls = len(provider.asked)
    assert main([*arguments, "--max-cost", "100"]) == 0
    assert all(row["llama3.1"] == "1" for row in rows())
    assert len(provider.asked) - calls <= 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--max-cost", "-1"], "--max-cost is -1.0: give an amount"),
        (["--max-cost", "9", "--match", "fuzzy"], "--match is 'fuzzy'"),
        (["--max-cost", "9", "--model", "smal"], "--model is 'smal': did you mean 'small'?"),
        (["--max-cost", "9", "--fields", "[1]"], "--fields is '[1]': give a JSON object"),
        (["--max-cost", "9", "--fields", '{"n": 3}'], "--fields is 'n': remove n"),
        (["--max-cost", "9", "--out", "t.parquet"], "--out is 't.parquet': give it a name that"),
        (["--max-cost", "9", "--out", "prompts.csv"], "this one is no table of a trial"),
        (["--max-cost", "9", "--out", "no/folder.csv"], "No such file or directory"),
        (["--max-cost", "9", "--prompts", "none.csv"], "no such file"),
        (["--max-cost", "9", "--prompts", "other.csv"], "column is missing"),
        (["--max-cost", "9", "--config", "none.yaml"], "there is no such file"),
        ([], "Missing option '--max-cost'"),
    ],
)
def test_a_wrong_option_is_one_line_with_a_fix(arguments, provider, more, message, capfd):
    Path("other.csv").write_text("question\nWhy?\n")
    assert main([*arguments, *more]) == 2
    err = " ".join(capfd.readouterr().err.split())
    assert message in err
    assert "Traceback" not in err
    assert provider.asked == []


def test_a_table_of_other_prompts_is_not_continued(arguments, provider, capfd):
    assert main([*arguments, "--max-cost", "100", "--n", "1"]) == 0
    Path("prompts.csv").write_text("prompt\nA?\nB?\nC?\n")
    assert main([*arguments, "--max-cost", "100"]) == 2
    assert "holds the trial of other prompts" in " ".join(capfd.readouterr().err.split())


def test_a_model_without_a_price_is_refused_because_no_cap_would_hold(arguments, provider, capfd):
    config = Path("floorline.yaml").read_text()
    none = config.replace("input_price: 1000, output_price: 10000, ", "")
    Path("floorline.yaml").write_text(none)
    assert main([*arguments, "--max-cost", "13"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "the price of model 'small' is missing: give input_price and output_price" in line
    assert provider.asked == []
    Path("floorline.yaml").write_text(none.replace("model: s,", "model: s, price: free,"))
    assert main([*arguments, "--max-cost", "13"]) == 0
