import asyncio
import io

import numpy as np
import pytest
from rich.console import Console

from floorline.cli.app import main
from floorline.demo.traffic import Traffic, run_traffic
from floorline.demo.traffic_report import outcomes, serving_options, show
from floorline.errors import FloorlineError, InvalidInput

SMALL = Traffic(users=120, feedback_share=0.5, delay=20, seed=4)


@pytest.fixture(scope="module")
def record():
    finished = []
    recorded = asyncio.run(run_traffic(SMALL, finished.append))
    assert finished[-1] == SMALL.users
    return recorded


def test_every_user_is_served_and_the_gateway_counts_the_same(record):
    assert record.status["requests"] == SMALL.users
    assert record.status["labels"] == record.labels
    assert 30 < record.labels < 90
    assert (record.seconds > 0).all()
    assert len(record.direct) == SMALL.users


def test_the_gateways_satisfaction_is_close_to_the_true_one(record):
    # It is the mean of the users with feedback, so it differs from that of all users.
    true = np.mean([record.satisfied(user, m) for user, m in enumerate(record.model)])
    assert record.status["satisfaction"] == pytest.approx(true, abs=0.2)


def test_the_gateways_spending_is_the_cost_of_the_served_answers(record):
    _, cost = outcomes(record)
    spent = cost[np.arange(SMALL.users), record.model].sum()
    assert record.status["spent"] == pytest.approx(spent, rel=1e-6)


def test_reference_points_meet_the_floor(record):
    options = serving_options(record)
    floorline, fixed, mix = options[:3]
    assert floorline.name == "Floorline"
    assert fixed.satisfaction >= SMALL.floor
    assert mix.satisfaction >= SMALL.floor - 1e-9
    assert mix.cost <= fixed.cost
    cheapest, best = options[-2:]
    assert cheapest.cost < mix.cost < best.cost


def test_a_user_is_satisfied_by_every_model_above_a_probability(record):
    user = 7
    probabilities = record.zoo.probabilities[user]
    labels = [record.satisfied(user, m) for m in np.argsort(probabilities)]
    assert labels == sorted(labels)


def test_the_report_states_satisfaction_certificate_and_what_is_simulated(record):
    console = Console(width=120, record=True, file=io.StringIO())
    show(record, console)
    text = console.export_text()
    for part in ("80.0%", "True satisfaction", "Certificate", "best fixed model", "static mix"):
        assert part in text
    assert record.status["verdict"] in text
    assert "Simulated: users, prompts, models" in text


@pytest.mark.slow
def test_runs_with_one_connection_are_reproducible():
    traffic = Traffic(users=40, connections=1, feedback_share=0.5, delay=5, seed=1)
    first, second = (asyncio.run(run_traffic(traffic)) for _ in range(2))
    assert (first.model == second.model).all()
    assert first.status == second.status


def test_the_error_of_a_gateway_that_does_not_start_contains_its_log():
    with pytest.raises(FloorlineError, match="policy"):
        asyncio.run(run_traffic(Traffic(users=5, policy="oracle")))


@pytest.mark.parametrize(("field", "value"), [("users", 0), ("floor", 1.5)])
def test_traffic_out_of_range_is_rejected(field, value):
    with pytest.raises(InvalidInput, match=field):
        Traffic(**{field: value})


def test_the_command_prints_the_report(capfd):
    assert main(["demo", "--gateway", "--users", "60", "--seed", "2"]) == 0
    printed = capfd.readouterr()
    assert "60 users sent a request to floorline/demo" in printed.out
    assert "Traceback" not in printed.err
