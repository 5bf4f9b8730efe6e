import json
import shlex
import time

import pytest

from floorline.cli.app import main
from floorline.cli.report import NOT_KEPT
from floorline.events import RequestContext
from floorline.stores import open_store


@pytest.fixture
def certify(build_router, vector, tmp_path, capfd):
    """Certify the log of a server whose responses all had these scores; code and output."""

    def run(score, *arguments):
        url = f"sqlite:///{tmp_path / 'log.db'}"
        router = build_router()
        for number in range(150):
            router.feedback(router.route(features=vector(number % 9)).id, score=score)
        store = open_store(url)
        for event in router.log.read():
            store.append(event)
        store.close()
        out = ["--out", str(tmp_path / "out")]
        return main(["report", "certificate", "--log", url, *out, *arguments]), capfd.readouterr()

    return run


@pytest.mark.parametrize(("score", "code", "verdict"), [(1, 0, "kept"), (0, NOT_KEPT, "broken")])
def test_the_verdict_is_told_and_is_the_exit_code(certify, score, code, verdict, tmp_path):
    given, told = certify(score)
    assert given == code
    assert told.out.startswith(f"gold: {verdict}.")
    for name in ("certificate.html", "certificate.json"):
        assert f"wrote {tmp_path / 'out' / name}" in told.out


def test_errors_are_one_line(certify):
    code, told = certify(1, "--method", "guessing")
    assert code == 2
    (line,) = told.err.splitlines()
    assert "method is 'guessing'" in line


def test_a_bench_run_becomes_one_page(tmp_path, capfd):
    (tmp_path / "report.md").write_text("# Runs\n\n## One\n\n|a|b|\n|-|-|\n|1|2|\n")
    assert main(["report", "run", str(tmp_path)]) == 0
    assert capfd.readouterr().out == f"wrote {tmp_path / 'report.html'}\n"
    assert main(["report", "run", str(tmp_path), "--out", str(tmp_path / "new" / "x.html")]) == 0
    assert (tmp_path / "new" / "x.html").read_text() == (tmp_path / "report.html").read_text()


def test_a_folder_that_is_no_run_is_one_line(tmp_path, capfd):
    assert main(["report", "run", str(tmp_path)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith(
        "has no report.md: give a folder that 'floorline bench --out FOLDER' wrote"
    )


@pytest.fixture
def stored(build_router, vector, tmp_path):
    """Store with the requests of two tenants within the last hour."""
    url = f"sqlite:///{tmp_path / 'log.db'}"
    router = build_router()
    router.log = store = open_store(url)
    began = time.time() - 3600.0
    for number in range(80):
        at = began + 40.0 * number
        context = RequestContext(tenant=("acme", "globex")[number % 2])
        made = router.route(features=vector(number % 9), at=at, context=context)
        router.outcome(made.id, cost=1.0, latency=0.5, at=at)
        router.feedback(made.id, satisfied=True, at=at)
    store.close()
    return url


def test_a_report_on_an_sla_is_written_from_the_store(stored, tmp_path, capfd):
    out = tmp_path / "out"
    given = ["report", "sla", "--log", stored, "--since", "2h", "--out", str(out)]
    assert main([*given, "--tenant", "acme"]) == 0
    told = capfd.readouterr()
    assert told.err == ""
    assert told.out.startswith("gold: ")
    assert "40 labels of 40 responses" in told.out
    for name in ("sla-report.html", "sla-report.json"):
        assert f"wrote {out / name}" in told.out
        assert "globex" not in (out / name).read_text()


def test_a_report_for_all_tenants_says_so(stored, tmp_path, capfd):
    given = ["report", "sla", "--log", stored, "--since", "2h", "--out", str(tmp_path / "out")]
    assert main(given) == 0
    told = capfd.readouterr()
    assert "about the requests of 2 tenants together: give --tenant" in told.err
    assert "80 labels of 80 responses" in told.out
    assert "of all tenants together" in (tmp_path / "out" / "sla-report.html").read_text()


def test_the_store_is_that_of_the_configuration(stored, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "floorline.yaml").write_text(
        "models:\n  - {name: small, endpoint: 'http://127.0.0.1:9/v1', price: free}\n"
        "slas:\n  - {name: gold, floor: 0.8}\n"
        f"store: {{url: '{stored}'}}\n"
    )
    assert main(["report", "sla", "--tenant", "globex", "--since", "2h"]) == 0
    assert (tmp_path / "sla-report" / "sla-report.html").is_file()


def test_the_command_on_the_page_makes_the_same_report(stored, tmp_path, capfd):
    first, second = tmp_path / "first", tmp_path / "second"
    main(["report", "sla", "--log", stored, "--since", "50m", "--out", str(first)])
    made = json.loads((first / "sla-report.json").read_text())
    program, *words = shlex.split(made["source"]["command"])
    assert program == "floorline"
    assert main([*words, "--out", str(second)]) == 0
    again = json.loads((second / "sla-report.json").read_text())
    assert {**again, "made_at": 0} == {**made, "made_at": 0}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--tenant", "acma"], "tenant is 'acma': name a tenant that has requests"),
        (["--sla", "golt"], "sla is 'golt': did you mean 'gold'?"),
        (["--until", "3h"], "until is '3h': give a time after --since 2h"),
        (["--until", "2001-01-01"], "until is '2001-01-01'"),
        (["--confidence", "2"], "confidence"),
    ],
)
def test_a_scope_without_requests_is_one_line(stored, tmp_path, capfd, arguments, problem):
    given = ["report", "sla", "--log", stored, "--since", "2h", "--out", str(tmp_path / "out")]
    assert main([*given, *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert problem in line
    assert not (tmp_path / "out").exists()


def test_a_certificate_is_of_the_configurations_store(stored, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "floorline.yaml").write_text(
        "models:\n  - {name: small, endpoint: 'http://127.0.0.1:9/v1', price: free}\n"
        "slas:\n  - {name: gold, floor: 0.8}\n"
        f"store: {{url: '{stored}'}}\n"
    )
    assert main(["report", "certificate"]) in (0, NOT_KEPT)
    assert "80 labels of 80 responses" in capfd.readouterr().out
    (tmp_path / "floorline.yaml").unlink()
    assert main(["report", "certificate"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "floorline.yaml" in line
