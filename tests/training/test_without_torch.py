import subprocess
import sys

import pytest

from floorline.cli import train as training_cli
from floorline.cli.app import main

SERVING = """
import sys
sys.modules["torch"] = None
import numpy as np
from floorline.estimators.proteus_checkpoint import load_network
from floorline import SLA, Model, Router, Zoo
from floorline.policies import make_policy
zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])
policy = make_policy("proteus", network=load_network(sys.argv[1]))
router = Router(zoo, policy, [SLA("gold", floor=0.8)], encoder=type("E", (), dict(
    dim=6, fingerprint="vectors"))())
print(router.route(features=np.ones(6, np.float32)).model)
"""


def test_serving_imports_no_torch(random_network, tmp_path):
    from floorline.estimators.proteus_checkpoint import save_network

    save_network(random_network(("small", "large")), tmp_path, settings={}, data={}, metrics={})
    found = subprocess.run(
        [sys.executable, "-c", SERVING, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() in ("small", "large")


def test_the_error_of_training_without_torch_names_the_extra(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(training_cli.importlib.util, "find_spec", lambda name: None)
    assert main(["train", "proteus", "--data", "simulated", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "training PROTEUS needs the extra 'train': pip install 'floorline[train]'" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["proteus", "--help"]])
def test_the_help_names_the_subcommand(command, capsys):
    main(["train", *command])
    assert "proteus" in capsys.readouterr().out
