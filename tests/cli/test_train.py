import importlib.util

import pytest

from floorline.cli.app import main


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra 'train'")
def test_training_writes_a_checkpoint(tmp_path, capfd):
    out = tmp_path / "checkpoint"
    assert main(["train", "proteus", "--data", "simulated", "--steps", "1", "--out", str(out)]) == 0
    assert "proteus.safetensors" in capfd.readouterr().out


def test_the_command_explains_itself(capfd):
    assert main(["train", "--help"]) == 0
    assert "proteus" in capfd.readouterr().out
    assert main(["train", "proteus", "--help"]) == 0
    assert "--tau-range" in capfd.readouterr().out
