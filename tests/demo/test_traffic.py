import asyncio
import io

import numpy as np
import pytest
from rich.console import Console

from floorline.cli.app import main
from floorline.demo.traffic import Traffic, drive
from floorline.demo.traffic_report import outcomes, show, ways
from floorline.errors import FloorlineError, InvalidInput

SMALL = Traffic(users=120, told=0.5, delay=20, seed=4)


@pytest.fixture(scope="module")
def record():
    told = []
    made = asyncio.run(drive(SMALL, told.append))
    assert told[-1] == SMALL.users
    return made


def test_every_user_is_served_and_the_gateway_counts_the_same(record):
    assert record.stand["requests"] == SMALL.users
    assert record.stand["labels"] == record.labels
    assert 30 < record.labels < 90
    assert (record.seconds > 0).all()
    assert len(record.direct) == SMALL.users


def test_what_the_gateway_says_of_satisfaction_is_what_users_told_it(record):
    # The users who told are not known outside; their number and mean have to fit the truth.
    true = np.mean([record.satisfied(user, m) for user, m in enumerate(record.model)])
    assert record.stand["satisfaction"] == pytest.approx(true, abs=0.2)


def test_the_gateway_knows_what_it_spent(record):
    _, cost = outcomes(record)
    spent = cost[np.arange(SMALL.users), record.model].sum()
    assert record.stand["spent"] == pytest.approx(spent, rel=1e-6)


def test_reference_points_meet_the_floor_at_their_price(record):
    compared = ways(record)
    ours, fixed, mix = compared[:3]
    assert ours.name == "Floorline"
    assert fixed.satisfaction >= SMALL.floor
    assert mix.satisfaction >= SMALL.floor - 1e-9
    assert mix.cost <= fixed.cost
    cheapest, dearest = compared[-2:]
    assert cheapest.cost < mix.cost < dearest.cost


def test_a_users_judgement_depends_on_the_seed_and_the_model_only(record):
    user = 7
    chances = record.zoo.probabilities[user]
    verdicts = [record.satisfied(user, m) for m in np.argsort(chances)]
    assert verdicts == sorted(verdicts)


def test_the_report_tells_truth_promise_and_what_is_simulated(record):
    console = Console(width=120, record=True, file=io.StringIO())
    show(record, console)
    text = console.export_text()
    for part in ("80.0%", "True satisfaction", "Certificate", "best fixed model", "static mix"):
        assert part in text
    assert record.stand["verdict"] in text
    assert "Simulated: users, prompts, models" in text


@pytest.mark.slow
def test_one_user_at_a_time_the_demo_repeats_itself():
    traffic = Traffic(users=40, connections=1, told=0.5, delay=5, seed=1)
    first, second = (asyncio.run(drive(traffic)) for _ in range(2))
    assert (first.model == second.model).all()
    assert first.stand == second.stand


def test_a_gateway_that_does_not_start_says_why():
    with pytest.raises(FloorlineError, match="policy"):
        asyncio.run(drive(Traffic(users=5, policy="oracle")))


@pytest.mark.parametrize(("field", "value"), [("users", 0), ("floor", 1.5)])
def test_traffic_out_of_range_is_refused(field, value):
    with pytest.raises(InvalidInput, match=field):
        Traffic(**{field: value})


def test_the_command_prints_the_report(capfd):
    assert main(["demo", "--gateway", "--users", "60", "--seed", "2"]) == 0
    told = capfd.readouterr()
    assert "60 users asked floorline/demo" in told.out
    assert "Traceback" not in told.err
