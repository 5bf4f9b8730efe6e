import asyncio

import pytest
from tests.support.live_gateway import wait_until, write_settings
from tests.support.malforming import Malforming, send_by_document, send_malformed
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


@pytest.fixture
def gateway(provider, tmp_path):
    begun = Stage(write_settings(provider, server={"max_body": "4MiB"}), None, tmp_path)
    yield begun
    begun.stop()


def assert_nothing_is_left(gateway, found, tasks):
    """No request, call, task or decision is still open, and the gateway serves."""
    health = gateway.gateway.upstreams.health
    wait_until(lambda: gateway.gateway.admission.in_flight == 0)
    wait_until(lambda: not any(one.calls + one.waiting for one in health().values()))
    wait_until(lambda: count_tasks(gateway) <= tasks)
    router = gateway.gateway.router
    assert len([1 for id in router.remembered if router.find(id).reserved]) <= found.routed
    assert gateway.chat().status_code == 200


def count_tasks(gateway):
    # One of them counts.
    return gateway.call(lambda: len(asyncio.all_tasks()))


def test_hand_made_requests(gateway):
    gateway.chat()
    tasks = count_tasks(gateway)
    found = Malforming()
    send_malformed(gateway.url, 1000, found)
    assert found.requests == 1000
    # Not all of it was refused at the door: some were nearly right enough.
    assert {200, 400, 404} <= set(found.statuses)
    assert_nothing_is_left(gateway, found, tasks)


def test_requests_by_and_against_the_document(gateway):
    gateway.chat()
    tasks = count_tasks(gateway)
    found = Malforming()
    send_by_document(gateway.url, 20, found)
    assert found.requests > 150
    assert {200, 400, 404} <= set(found.statuses)
    assert_nothing_is_left(gateway, found, tasks)


def test_models_are_added_and_removed_by_the_document(administered):
    """On a gateway of its own, with a key that may."""
    found = Malforming()
    headers = {"authorization": administered.http.headers["authorization"]}
    send_by_document(administered.url, 30, found, zoo=True, headers=headers)
    assert found.requests >= 40
    assert {400, 404} <= set(found.statuses)
