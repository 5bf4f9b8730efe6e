"""The model of lease and order: what is built keeps all invariants, and each part is needed."""

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "check_shared_log.py"


def load():
    spec = importlib.util.spec_from_file_location("check_shared_log", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_shared_log"] = module
    spec.loader.exec_module(module)
    return module


model = load()
pytestmark = pytest.mark.skipif(
    model.tools() is None or model.java() is None, reason=f"{model.MISSING} (make test-model)"
)


def test_the_design_keeps_all_invariants():
    assert model.check(model.DESIGNS[0], model.tools(), events=1, epochs=2).broken is None


@pytest.mark.parametrize("design", model.DESIGNS[1:], ids=lambda design: design.name)
def test_each_part_is_needed(design):
    """Without it TLC finds a way to break the invariant that the part is for."""
    assert model.check(design, model.tools(), events=2, epochs=2).broken in design.breaks
