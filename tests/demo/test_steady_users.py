import asyncio

import numpy as np
import pytest
from tests.support.live_gateway import ZOO, InThread, http_server, write_settings

from floorline.cli.app import main
from floorline.datasets.simulated import SimulatedZoo
from floorline.demo import gateway as demo
from floorline.demo import past_traffic, user_behaviour
from floorline.demo.fake_provider import FakeProvider
from floorline.demo.gateway import demo_settings
from floorline.demo.steady_users import SteadyUsers, _stream_text
from floorline.demo.user_behaviour import SimulatedUser
from floorline.events import Decision


@pytest.fixture
def impatient(monkeypatch):
    """Users wait for fractions of a second."""
    monkeypatch.setattr(user_behaviour, "MEAN_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(user_behaviour, "_MEAN_FEEDBACK_SECONDS", 0.2)


def send(users, until, seconds=30.0):
    async def main():
        async with users.sending():
            async with asyncio.timeout(seconds):
                while not until(users):
                    await asyncio.sleep(0.02)

    asyncio.run(main())


def people(number):
    return [SimulatedUser(ZOO, n, seed=3) for n in range(number)]


def settings(provider):
    floors = {"gold": 0.8, "silver": 0.6, "bronze": 0.5}
    slas = [{"name": name, "floor": floor} for name, floor in floors.items()]
    return write_settings(provider, slas=slas)


def test_users_send_conversations_and_honest_feedback(start, provider, impatient):
    gateway = start(settings(provider))
    users = SteadyUsers(ZOO, people(20), gateway.url)
    send(users, lambda u: u.answered >= 150 and u.labels >= 30)
    assert users.failed == 0
    names = ("gold", "silver", "bronze")
    statuses = {name: gateway.http.get(f"/v1/slas/{name}").json() for name in names}
    assert all(status["requests"] > 5 for status in statuses.values())
    # Requests for a model by its name count for no SLA.
    gateway.gateway.store.flush()
    made = [event for event in gateway.gateway.store.read() if isinstance(event, Decision)]
    assert len(made) >= 150
    assert {decision.model for decision in made if not decision.sla} == {"sim-nano"}
    assert all(decision.session.startswith("user-") for decision in made)
    # What a user says is what the zoo says about the model and the prompt: better than a coin.
    assert statuses["gold"]["satisfaction"] > 0.6


def test_users_go_on_after_errors(start, impatient):
    faulty = FakeProvider(ZOO, fault_rate=1.0)
    served = InThread(http_server(faulty.app()))
    try:
        gateway = start(settings(served.value))
        users = SteadyUsers(ZOO, people(5), gateway.url)

        def recovered(users):
            if users.failed >= 5:
                faulty.fault_rate = 0.0
            return users.answered >= 5

        send(users, recovered)
        assert users.failed >= 5
    finally:
        served.stop()


def test_a_model_that_is_unavailable_is_replaced(start, impatient):
    provider = FakeProvider(ZOO)
    served = InThread(http_server(provider.app()))
    try:
        gateway = start(settings(served.value))
        provider.unavailable.add("sim-medium")
        users = SteadyUsers(ZOO, people(10), gateway.url)
        send(users, lambda u: u.answered >= 60)
        text = gateway.http.get("/metrics").text
        assert 'model="sim-medium",outcome="ok"' not in text
    finally:
        served.stop()


def test_conversations_have_turns_and_end():
    user = SimulatedUser(SimulatedZoo(50), 4, seed=0)
    conversations = [user.next_conversation() for _ in range(200)]
    lengths = [len(turns) for turns in conversations]
    assert max(lengths) <= 8
    assert 2.0 < np.mean(lengths) < 3.0
    assert len({turns[0].session for turns in conversations}) == 200
    assert all(len({turn.session for turn in turns}) == 1 for turns in conversations)
    asked = [turn for turns in conversations for turn in turns]
    assert all(0 <= request.prompt < 50 for request in asked)
    rated = [r for r in asked if r.feedback_after is not None]
    assert 0.3 < len(rated) / len(asked) < 0.5


def test_models_that_are_called_by_their_name_have_no_outages():
    named = {target for target in user_behaviour._TARGETS if not target.startswith("floorline/")}
    outages = {*demo._OUTAGE_MODELS, *(model for model, _ in past_traffic._OUTAGES)}
    assert named
    assert not named & outages


def test_users_differ_and_repeat_with_the_seed():
    zoo = SimulatedZoo(50)

    def first(number, seed):
        return SimulatedUser(zoo, number, seed).next_conversation()

    assert first(0, 0) == first(0, 0)
    assert first(0, 0) != first(1, 0) != first(1, 1)


@pytest.mark.parametrize(("users", "hours"), [(0, 24.0), (1, 24.0), (1000, 12_000 / 3600)])
def test_the_log_of_a_demo_is_bounded(tmp_path, users, hours):
    made = demo_settings("http://127.0.0.1:9", ZOO, tmp_path, "127.0.0.1", 0, users=users)
    assert made.store.retention == pytest.approx(hours * 3600.0)


def test_more_users_than_a_small_machine_serves_are_refused(capfd):
    assert main(["serve", "--demo", "--users", "5000"]) == 2
    assert "from 0 to 1000" in capfd.readouterr().err


def test_comments_and_errors_in_a_stream_stop_no_user():
    said = b'data: {"choices": [{"delta": {"content": "yes"}}]}\n\n'
    assert _stream_text(b": keepalive\n\n" + said + b"data: [DONE]\n\n") == "yes"
    assert _stream_text(said + b'data: {"error": {"message": "the provider is down"}}\n\n') is None
