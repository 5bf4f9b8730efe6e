"""Damage in one place at a time: no start gives another state without a word.

``benchmarks/attack_bit_flips.py`` does the same on a larger scale.
"""

import logging
import random

import pytest
from tests.support.bit_flips import CRASHED, FELL_BACK, HARMLESS, REFUSED, SILENT, Store, run
from tests.support.bit_flips import flips as all_flips
from tests.support.bit_flips import losses as all_losses


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("deleted", [False, True])
def test_no_flipped_bit_changes_the_state_silently(deleted, tmp_path):
    store = Store(tmp_path, 40, deleted=deleted)
    counts, bad = run(store, all_flips(store, random.Random(2026), 72))
    assert bad == []
    ends = {how for kind in counts.values() for how in kind}
    assert ends == {HARMLESS, FELL_BACK, REFUSED}
    assert counts["newest snapshot"].keys() == {FELL_BACK}
    assert counts["write-ahead log"].keys() == {REFUSED}
    assert not ends & {SILENT, CRASHED}


def test_nothing_missing_goes_unnoticed(tmp_path):
    store = Store(tmp_path, 40)
    counts, bad = run(store, all_losses(store, random.Random(2026), 2))
    assert bad == []
    for kind in ("tail missing", "head missing", "write-ahead log cut", "write-ahead log deleted"):
        assert counts[kind].keys() == {REFUSED}, kind
    assert counts["log shorter than its snapshots"].keys() == {REFUSED}
    assert counts["database replaced by an older copy"].keys() == {REFUSED}
