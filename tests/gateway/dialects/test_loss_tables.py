"""The documentation lists what translations lose."""

from pathlib import Path

from floorline.gateway.dialects.loss_tables import tables
from floorline.gateway.dialects.losses import READ, WRITTEN

PAGE = Path(__file__).parents[3] / "docs" / "dialects.md"


def test_the_tables_in_the_docs_are_those_of_the_code():
    _, _, rest = PAGE.read_text().partition("<!-- losses -->\n")
    written, _, _ = rest.partition("<!-- end of losses -->")
    assert written.strip() == tables().strip()


def test_the_tables_have_every_loss():
    shown = tables()
    for losses in (READ, WRITTEN):
        for fields in losses.values():
            assert all(f"| `{name}` | " in shown for name in fields)
