"""What the gateway books is what the provider bills, whatever the shape of its counts."""

import pytest
from tests.support.billing import book, cases
from tests.support.usage_shapes import SHAPES

pytestmark = pytest.mark.slow


def test_booked_costs_are_the_bill_to_the_cent(tmp_path):
    booked = book(cases(len(SHAPES) * 8), tmp_path)
    assert [one for one in booked if not one.equal] == []
    assert max(one.difference for one in booked) < 1e-9
    assert not any(one.estimated or one.error for one in booked)
    assert [
        one for one in booked if one.billed != (SHAPES[one.case.shape].own_bill is not None)
    ] == []
