import numpy as np
import pytest

from floorline.datasets import RoutingTable
from floorline.encoders import Precomputed

DIM = 6


@pytest.fixture(scope="session")
def routed():
    """240 requests to three models; the first feature determines the small model's quality."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, DIM))
    easy = 1.0 / (1.0 + np.exp(-3.0 * x[:, 0]))
    chance = np.stack([easy, 0.5 + 0.4 * easy, np.full(240, 0.9)], axis=1)
    quality = (rng.random((240, 3)) < chance).astype(float)
    cost = np.tile([1e-4, 1e-3, 1e-2], (240, 1)) * rng.uniform(0.5, 1.5, (240, 1))
    prompts = [f"request {n}" for n in range(240)]
    table = RoutingTable(prompts, ["small", "medium", "large"], quality, cost, name="routed")
    return table, Precomputed(dict(zip(prompts, x, strict=True)))
