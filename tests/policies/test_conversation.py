"""What serving a model now costs the later turns of a conversation."""

import numpy as np
import pytest

from floorline.policies.conversation import FutureCosts


@pytest.mark.parametrize("models", [1, 3])
def test_an_infinite_price_of_satisfaction_leaves_no_weight_to_money(models):
    ones = np.ones(models)
    future = FutureCosts(ones, ones, ones, 5.0, ones / 2)
    assert future.addend(np.inf).tolist() == [0.0] * models
    assert np.isfinite(future.addend(3.0)).all()
