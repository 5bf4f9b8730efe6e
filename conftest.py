"""Modules that need PyTorch, Dask, Ray or LiteLLM have their doctests left out without them."""

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

# Its classes are those of LiteLLM, which the tests do without, and of which httpx is a part.
if importlib.util.find_spec("litellm") is None:
    collect_ignore += [
        f"src/floorline/plugins/{module}.py" for module in ("decision_client", "litellm")
    ]
