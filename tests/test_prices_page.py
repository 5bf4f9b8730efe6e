"""What the page on prices says is what the code does."""

from pathlib import Path

from floorline.zoo import PRICES
from tests.support.usage_shapes import shape_table

PAGE = (Path(__file__).parent.parent / "docs" / "prices.md").read_text(encoding="utf-8")


def test_the_table_of_shapes_is_that_of_the_tests():
    _, _, rest = PAGE.partition("<!-- shapes -->\n")
    table, _, _ = rest.partition("<!-- end of shapes -->")
    assert table.strip() == shape_table(), (
        "put what python benchmarks/cost_accuracy.py --shapes prints between the two marks"
    )


def test_every_price_is_in_the_table_of_prices():
    for name in PRICES:
        assert f"\n| `{name}` |" in PAGE, f"{name} is missing"
