"""Scripts write numbers as the server does, so that a live number looks like the one before it."""

import random

import pytest

from floorline.gateway.dashboard import formatting

WRITERS = {
    "count": formatting.number,
    "share": formatting.share,
    "money": formatting.money,
    "seconds": formatting.seconds,
}
_WRITE = """async ([unit, values]) => {
  const { write } = await import(document.querySelector("script[type=module]").src
    .replace("floorline.js", "format.js"));
  return values.map((value) => write(value, unit));
}"""


def values():
    rng = random.Random(7)
    drawn = [10 ** rng.uniform(-7, 6) for _ in range(300)]
    whole = [rng.randrange(10**7) for _ in range(50)]
    return [None, 0, 0.0, 1, 1.0, 0.5, 0.01, 0.0999, 59.999, 60.0, 3600.0, *drawn, *whole]


@pytest.mark.parametrize("unit", WRITERS)
def test_scripts_write_numbers_as_the_server_does(visits, unit):
    page = visits.open("/dashboard").page
    found = page.evaluate(_WRITE, [unit, values()])
    wanted = [WRITERS[unit](value) for value in values()]
    assert list(zip(values(), found, strict=True)) == list(zip(values(), wanted, strict=True))
