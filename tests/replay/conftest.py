import numpy as np
import pytest

from floorline.datasets import RoutingTable, simulate
from floorline.encoders import HashedNgrams
from floorline.replay.data import prepare


@pytest.fixture(scope="session")
def simulated():
    """120 requests to 8 simulated models, ready to replay."""
    return prepare(simulate(120, seed=2), HashedNgrams(96))


@pytest.fixture(scope="session")
def gappy():
    """60 requests to 3 models of a table with missing labels, without tokens and prices."""
    rng = np.random.default_rng(1)
    quality = (rng.random((60, 3)) < [0.4, 0.6, 0.9]).astype(float)
    cost = rng.random((60, 3)) * [1.0, 4.0, 9.0]
    quality[::7, 1] = np.nan
    cost[::7, 1] = np.nan
    prompts = [f"request {n} about {n % 5}" for n in range(60)]
    return prepare(RoutingTable(prompts, ["a", "b", "c"], quality, cost), HashedNgrams(96))
