import io
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from floorline.replay import Spec, compare
from floorline.replay.progress import ReplayProgress


def screen(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def shown(console, clock=lambda: 0.0, **given):
    """What a console gets of two replays, one of which finishes."""
    with ReplayProgress(screen=console, clock=clock, **given) as progress:
        progress.begin("replaying x", ["a", "a", "a"], jobs=1)
        progress.finished(0, 30.0)
        progress.finished(1)
    return console.file.getvalue()


def test_a_pipe_gets_nothing():
    assert shown(screen(False)) == ""


def test_a_terminal_gets_a_bar_with_the_remaining_time():
    told = shown(screen(True), keep=True)
    for text in ("replaying x", "2/3", "about 30 s left"):
        assert text in told
    assert "about 30 s left" not in shown(screen(True), keep=False).rsplit("\x1b[2K", 1)[-1]


@pytest.fixture
def notebook(monkeypatch):
    """A stand-in for IPython in a kernel: what is displayed, the latest last."""
    pages = []

    class Handle:
        def update(self, page, raw):
            pages.append(page)

    def display(page, raw, display_id):
        pages.append(page)
        return Handle()

    kernel = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=True), display=SimpleNamespace(display=display)
    )
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", kernel.display)
    return pages


def test_a_notebook_gets_one_bar_that_is_replaced(notebook):
    assert shown(screen(False)) == ""
    texts = [page["text/plain"] for page in notebook]
    assert texts[:3] == [
        "replaying x: 0/3",
        "replaying x: 1/3 about 1 min left",
        "replaying x: 2/3 about 30 s left",
    ]
    assert "<progress max='3' value='2'>" in notebook[2]["text/html"]
    assert texts[-1] == "replaying x: 3 replays in 1 s"


def test_a_title_is_no_markup(notebook):
    with ReplayProgress() as progress:
        progress.begin("<b>[red]x", ["a"], jobs=1)
    assert "<b>" not in notebook[0]["text/html"]
    assert "&lt;b&gt;[red]x" in notebook[0]["text/html"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_comparing_shows_each_replay(simulated, notebook, jobs):
    specs = [Spec(policy, 0.7, seed=seed) for policy in ("random", "oracle") for seed in (0, 1)]
    assert len(compare(simulated, specs, jobs=jobs, progress=True)) == 4
    texts = [page["text/plain"] for page in notebook]
    assert [text.split(":")[1].split()[0] for text in texts[:5]] == [
        "0/4",
        "1/4",
        "2/4",
        "3/4",
        "4/4",
    ]
