"""Every constant is declared, checked and used."""

import re
from pathlib import Path

import pytest

from floorline.core.config import constants
from floorline.errors import InvalidInput
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.policy import PrimalDual
from floorline.report.constants import constants_table

SOURCE = Path(__file__).parents[3] / "src" / "floorline" / "policies"


def test_every_number_is_declared_with_unit_meaning_and_source():
    declared = constants(PrimalDualConfig)
    config = PrimalDualConfig()
    for name in config.__struct_fields__:
        value = getattr(config, name)
        if isinstance(value, bool | str):
            continue
        constant = declared[name]
        assert all(map(str.strip, (constant.unit, constant.meaning, constant.source))), name
        assert constant.low <= value <= constant.high, name


def test_every_constant_is_used_by_the_policy():
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("primal_dual", "budgets")
        for path in (SOURCE / folder).glob("*.py")
        if path.name != "config.py"
    )
    for name in PrimalDualConfig.__struct_fields__:
        assert re.search(rf"\.{name}\b", text), f"{name} is read nowhere"


@pytest.mark.parametrize("name", constants(PrimalDualConfig))
def test_values_outside_of_the_declared_range_are_refused(name):
    constant = constants(PrimalDualConfig)[name]
    with pytest.raises(InvalidInput, match=f"PrimalDualConfig.{name} is"):
        PrimalDualConfig(**{name: constant.low - 1.0})
    with pytest.raises(InvalidInput, match=f"PrimalDualConfig.{name} is"):
        PrimalDual(**{name: float("nan")})


@pytest.mark.parametrize(
    "name", [name for name, constant in constants(PrimalDualConfig).items() if constant.off]
)
def test_the_value_that_switches_a_part_off_is_valid(name):
    constant = constants(PrimalDualConfig)[name]
    assert getattr(PrimalDualConfig(**{name: constant.off}), name) == constant.off


def test_an_unknown_constant_is_refused_by_name():
    with pytest.raises(InvalidInput, match="PrimalDualConfig is 'patience': choose one of"):
        PrimalDual(patience=3000.0)


def test_the_fingerprint_of_a_snapshot_holds_every_constant():
    one, other = PrimalDual(), PrimalDual(informative_labels=31)
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint == PrimalDual(config=PrimalDualConfig()).fingerprint


def test_the_documentation_shows_the_constants_of_the_code():
    page = SOURCE.parents[2] / "docs" / "flagship-constants.md"
    _, _, rest = page.read_text(encoding="utf-8").partition("<!-- constants -->")
    shown, _, _ = rest.partition("<!-- end of constants -->")
    assert shown.strip() == constants_table(PrimalDualConfig), (
        "put what python -m floorline.report.constants prints between the two marks"
    )
