import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from floorline.datasets import simulate
from floorline.encoders import HashedNgrams
from floorline.errors import FloorlineError
from floorline.replay.compare import compare
from floorline.replay.data import prepare
from floorline.replay.spec import Spec
from floorline.report import plots
from floorline.report.plots import (
    DOCS_PICTURE_BYTES,
    over_time,
    save_docs_picture,
    save_figure,
)


@pytest.fixture
def drawn(monkeypatch):
    """Figures that were saved."""
    figures = []

    def save(figure, path, title, **_):
        figures.append(figure)
        return path

    monkeypatch.setattr(plots, "save_figure", save)
    return figures


def test_every_line_over_time_is_named_at_its_end(drawn, tmp_path):
    data = prepare(simulate(120, seed=2), HashedNgrams(96))
    policies = ("mess_plus", "random", "static_mix", "oracle")
    specs = [Spec(p, floor, seed=s) for floor in (0.7, 0.8) for p in policies for s in (0, 1)]
    over_time(compare(data, specs, jobs=1), tmp_path / "x.png", title="x", cost_unit="USD")
    (figure,) = drawn
    assert not figure.legends
    assert len(figure.axes) == 4
    for axes in figure.axes:
        assert {text.get_text() for text in axes.texts} == set(policies)
        heights = sorted(text.get_position()[1] for text in axes.texts)
        assert np.diff(heights).min() >= plots._LABEL_SPACING - 1e-9
        assert heights[0] >= 0
        assert heights[-1] <= 1
        # One band: that of the only policy under test.
        assert len(axes.collections) == 1


@pytest.mark.slow
def test_pictures_of_the_docs_are_small_and_opaque(tmp_path):
    figure = Figure(figsize=(10, 5))
    figure.subplots().plot(np.random.default_rng(0).random((40, 6)))
    path = save_docs_picture(figure, tmp_path / "new" / "crowded.svg", "crowded")
    assert path == tmp_path / "new" / "crowded.png"
    assert path.stat().st_size <= DOCS_PICTURE_BYTES
    with Image.open(path) as image:
        assert image.mode == "P"
        assert "transparency" not in image.info
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.slow
def test_a_picture_that_cannot_be_small_is_refused(tmp_path):
    figure = Figure()
    figure.subplots().imshow(np.random.default_rng(0).random((400, 400)))
    with pytest.raises(FloorlineError, match=r"x\.png takes .* but 2000 is the most"):
        save_figure(figure, tmp_path / "x.png", "", max_bytes=2000)
    assert not (tmp_path / "x.png").exists()
