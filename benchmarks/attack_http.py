"""Attack a gateway with slow, idle and huge clients, and time an honest one meanwhile.

Run ``python benchmarks/attack_http.py``; it takes about a minute. The gateway is a real ``floorline
serve`` process that may open 256 files and serves 20 chat requests at a time, in front of a fake
provider. ``tests/gateway/faults/test_attacks.py`` runs the same on a smaller scale.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.attacks import all_attacks
from tests.support.live_gateway import ZOO, InThread, http_server, write_settings
from tests.support.serving import Serving

from floorline.demo.fake_provider import FakeProvider


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="Share of the attacks' sizes.")
    parser.add_argument("--files", type=int, default=256, help="Files the gateway may open.")
    given = parser.parse_args()
    # The fake provider's, about calls that the gateway gave up.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    table = Table(title=f"A gateway with {given.files} descriptors and max_in_flight 20")
    for column in ("attack", "answers", "RSS before, peak (MiB)", "healthz (s)", "chat (s)"):
        table.add_column(column)
    provider = InThread(http_server(FakeProvider(ZOO).app()))
    with tempfile.TemporaryDirectory() as folder:
        text = write_settings(provider.value, server={"max_in_flight": 20})
        serving = Serving(folder, text, files=given.files).start()
        try:
            for found in all_attacks(serving, given.scale):
                answers = ", ".join(f"{n:,} {what}" for what, n in found.answers.most_common())
                before, most = found.memory
                table.add_row(
                    found.name,
                    answers,
                    f"{before:.0f}, {most:.0f}",
                    f"{found.health_s:.3f}",
                    f"{found.chat_s:.3f}",
                )
            assert serving.process.poll() is None, "the gateway has ended"
            assert serving.stop() == 0
        finally:
            serving.kill()
    provider.stop()
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
