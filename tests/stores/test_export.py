import pytest

from floorline.events import (
    ConfigChange,
    Decision,
    Feedback,
    Outcome,
    QualityChange,
    Tombstone,
    WarmStart,
)
from floorline.stores.export import COLUMNS

RENAMED = {
    "id": "decision",
    "quality_estimates": "expected_quality",
    "cost_estimates": "expected_cost",
}


@pytest.mark.parametrize(
    "kind", [Decision, Outcome, Feedback, Tombstone, WarmStart, ConfigChange, QualityChange]
)
def test_every_field_of_an_event_has_a_column(kind):
    fields = {RENAMED.get(name, name) for name in kind.__struct_fields__} - {"v"}
    assert fields <= set(COLUMNS)
