"""Servers and learners of one log, as processes."""

import pytest
from tests.stores.conftest import empty_postgres, postgres
from tests.support.live_gateway import write_settings
from tests.support.replica_processes import Processes

__all__ = ["empty_postgres", "postgres"]


@pytest.fixture
def processes(empty_postgres, provider, tmp_path):
    replicas = {"enabled": True, "lease": "1s"}
    text = write_settings(provider, store={"url": empty_postgres}, replicas=replicas)
    made = Processes(tmp_path, text, empty_postgres)
    yield made
    made.stop()
