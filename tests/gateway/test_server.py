"""The serving process: its address, and the order in which it starts and stops."""

import asyncio
import socket

import pytest
from tests.support.live_gateway import write_settings

from floorline.config import load_text
from floorline.errors import FloorlineError
from floorline.gateway.server import running, serve


def settings(folder, **changed):
    return load_text(write_settings("http://127.0.0.1:1", **changed), folder=folder, environ={})


def test_an_address_that_is_taken_is_an_error_with_a_fix(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FloorlineError) as caught:
            asyncio.run(serve(settings(tmp_path, server={"port": port})))
    message = str(caught.value)
    assert message.startswith(f"cannot listen on server.host '127.0.0.1' and server.port {port} (")
    assert message.endswith("): give an address of this machine and a free port")
    assert "Address already in use" in message
    # The store was not opened, so that another server on it is not disturbed.
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_stops_with_a_snapshot_and_no_task_left(tmp_path):
    async def scene():
        async with running(settings(tmp_path)) as gateway:
            gateway.router.route("Why?", "gold")
            assert gateway.snapshots.events_since == 1
            assert gateway.reloader is None
        assert len(asyncio.all_tasks()) == 1
        async with running(settings(tmp_path)) as gateway:
            assert gateway.store.last_snapshot()[0] == 1
            assert gateway.router.status("gold").requests == 1

    asyncio.run(scene())


def test_without_events_no_snapshot_is_written(tmp_path):
    async def scene():
        async with running(settings(tmp_path)):
            pass
        async with running(settings(tmp_path)) as gateway:
            assert gateway.store.last_snapshot() is None

    asyncio.run(scene())


def test_a_file_of_the_settings_is_watched(tmp_path):
    path = tmp_path / "floorline.yaml"
    path.write_text(write_settings("http://127.0.0.1:1"))

    async def scene():
        async with running(settings(tmp_path), path) as gateway:
            assert gateway.reloader.path == path
            assert gateway.readiness.warnings() == []

    asyncio.run(scene())
