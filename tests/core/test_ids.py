import multiprocessing
import os
import subprocess
import sys

import pytest

from floorline.core.ids import IdSource


def test_ids_of_one_source_differ_by_their_number():
    source = IdSource()
    assert len({source.make(number) for number in range(1000)}) == 1000


def test_two_sources_issue_different_ids():
    assert len({IdSource().make(1) for _ in range(1000)}) == 1000


def test_a_given_prefix_stays():
    source = IdSource("d7")
    assert source.make(255) == "d7-ff"
    source.renew()
    assert source.make(255) == "d7-ff"


def test_after_a_renewal_numbers_may_begin_again():
    source = IdSource()
    first = source.make(1)
    source.renew()
    assert source.make(1) != first


def test_two_processes_issue_different_ids():
    program = "from floorline.core.ids import IdSource; print(IdSource().make(1))"
    run = [sys.executable, "-c", program]
    made = {subprocess.run(run, capture_output=True, check=True).stdout for _ in range(2)}
    assert len(made) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forks_issue_different_ids_than_their_parent_and_each_other():
    source = IdSource()
    fork = multiprocessing.get_context("fork")
    ids = fork.Queue()
    children = [fork.Process(target=lambda: ids.put(source.make(1))) for _ in range(2)]
    for child in children:
        child.start()
    made = {ids.get(timeout=60) for _ in children} | {source.make(1)}
    for child in children:
        child.join(60)
    assert len(made) == 3
