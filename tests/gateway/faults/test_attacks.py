"""Slow, idle and huge clients of a real process that may open few files."""

import pytest
from tests.support.attacks import all_attacks
from tests.support.live_gateway import write_settings
from tests.support.serving import Serving

pytestmark = pytest.mark.slow


def test_honest_clients_are_served_under_attack(provider, tmp_path):
    text = write_settings(provider, server={"max_in_flight": 20, "max_body_memory": "32MiB"})
    serving = Serving(tmp_path, text, files=128).start()
    try:
        found = {one.name: one for one in all_attacks(serving, 0.3)}
        assert serving.process.poll() is None
        before = min(before for before, _ in (one.memory for one in found.values()))
        most = max(most for _, most in (one.memory for one in found.values()))
        for one in found.values():
            # Nothing of an attack is answered as if it were a request of a client.
            assert not {500, 502} & set(one.answers), one
        assert {431} == set(next(o for n, o in found.items() if "MB of headers" in n).answers)
        # Sent were 60 MB of headers and 6 bodies of up to 20 MiB, of which 32 MiB may be held.
        assert most - before < 80, found
        assert serving.descriptors() < 128
        assert serving.stop() == 0
        assert "Traceback" not in serving.said.read_text()
    finally:
        serving.kill()
