"""Servers and learners of one log, as processes."""

import pytest
from tests.support.live_gateway import write_settings
from tests.support.replica_processes import Processes


@pytest.fixture
def processes(empty_postgres, provider, tmp_path):
    replicas = {"enabled": True, "lease": "1s"}
    text = write_settings(provider, store={"url": empty_postgres}, replicas=replicas)
    made = Processes(tmp_path, text, empty_postgres)
    yield made
    made.stop()
