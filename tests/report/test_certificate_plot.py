import pytest

from floorline.report.certificate_methods import MethodPoint
from floorline.report.certificate_plot import interval_plot


def points(text):
    return [tuple(map(float, pair.split(","))) for pair in text.split()]


def series(count):
    return [
        MethodPoint(n, 0.9, 0.9 - 0.9 / n, min(1.0, 0.9 + 0.9 / n)) for n in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [1, 2, 240])
@pytest.mark.parametrize("floor", [0.0, 0.8, 1.0])
def test_everything_lies_inside_the_drawing(count, floor):
    plot = interval_plot(series(count), floor)
    for x, y in [*points(plot.band), *points(plot.mean), (plot.left, plot.floor)]:
        assert plot.left <= x <= plot.right
        assert 0 <= y <= plot.bottom
    assert len(points(plot.band)) == 2 * len(points(plot.mean)) == 2 * count


def test_a_higher_share_is_drawn_higher():
    plot = interval_plot(series(100), 0.5)
    upper, lower = points(plot.band)[99], points(plot.band)[100]
    mean = points(plot.mean)[-1]
    assert upper[1] < mean[1] < lower[1]
    assert plot.floor > mean[1]


def test_counts_on_the_axis_are_whole_numbers():
    for count in (1, 3, 12, 240):
        labels = [tick.label for tick in interval_plot(series(count), 0.8).columns]
        assert labels[0] == "0"
        assert all(label.replace(",", "").isdigit() for label in labels)
        assert len(set(labels)) == len(labels)
