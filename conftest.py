"""Doctests of the trainer need PyTorch; `make test` does without."""

import importlib.util

if importlib.util.find_spec("torch") is None:
    collect_ignore = [
        f"src/floorline/training/{module}.py"
        for module in ("duals", "network", "proteus_trainer", "resume")
    ]
