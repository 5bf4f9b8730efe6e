import pytest

from floorline.cli.app import main
from floorline.cli.report import NOT_KEPT
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
