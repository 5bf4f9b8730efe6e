"""Doctests of the trainer need PyTorch, those of engines Dask and Ray; `make test` does without."""

import importlib.util

# Only Alembic can run it.
collect_ignore = ["src/floorline/stores/migrations/env.py"]

if importlib.util.find_spec("torch") is None:
    collect_ignore += [
        f"src/floorline/training/{module}.py"
        for module in ("duals", "network", "proteus_trainer", "resume")
    ]

collect_ignore += [
    f"src/floorline/replay/{engine}_engine.py"
    for engine, package in {"dask": "distributed", "ray": "ray"}.items()
    if importlib.util.find_spec(package) is None
]
