"""Where replays run: in processes of this machine, or on the workers of a Dask or Ray cluster."""

from __future__ import annotations

import platform
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata
from typing import Any, Literal, NamedTuple, Protocol, get_args

from floorline._extras import needs
from floorline._version import __version__
from floorline.errors import FloorlineError, InvalidInput, check_one_of, listed

EngineName = Literal["local", "dask", "ray"]

RESULT_PACKAGES = ("joblib", "msgspec", "numpy", "polars", "scikit-learn", "scipy", "usearch")
"""Packages on whose versions results can depend."""

VERSION = "floorline._version.__version__"
"""What ``pydoc.locate`` reads on a worker, also where Floorline is of another version."""

_ONE_AT_A_TIME = threading.Lock()
"""Workers of Dask run calls in threads; limits of BLAS threads hold for a whole process."""
_DEFAULT_JOBS = 2


class EngineUnavailable(FloorlineError):
    """A cluster cannot be reached or used; the text says why and what to do."""


class Lost(NamedTuple):
    """The worker of a call died; ``reason`` is what the engine says of it."""

    reason: str


class Raised(NamedTuple):
    """A call raised an exception.

    Attributes
    ----------
    error
        Its name and message; the message only of Floorline's own errors.
    traceback
        Where it was raised.
    """

    error: str
    traceback: str


Call = Callable[[Any, Any], Any]
"""Function of what all calls share, and of one item."""


class Engine(Protocol):
    """Runs calls on workers.

    Attributes
    ----------
    slots : int
        Number of calls that run at the same time.
    """

    slots: int

    def map(self, call: Call, shared: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Call a function with each item; yield position and result as soon as a call ends.

        ``shared`` is sent to a worker once. A result is ``Lost`` if the call's worker died, and
        ``Raised`` if the call could not be made; the other calls go on.

        Raises
        ------
        EngineUnavailable
            If the whole cluster is lost.
        """
        ...


class LocalEngine:
    """Processes of this machine; with one job this process.

    Parameters
    ----------
    jobs
        Number of processes.
    """

    def __init__(self, jobs: int = _DEFAULT_JOBS) -> None:
        self.slots = jobs

    def map(self, call: Call, shared: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """See ``Engine``."""
        if self.slots == 1:
            for position, item in enumerate(items):
                yield position, guarded(call, shared, item)
            return
        with needs("bench", "replays in several processes"):
            from joblib import Parallel, delayed
            from joblib.externals.loky.process_executor import BrokenProcessPool

        waiting = iter(range(len(items)))
        running: set[int] = set()

        def calls() -> Iterator[Any]:
            for position in waiting:
                running.add(position)
                yield delayed(_numbered)(position, call, shared, items[position])

        left = len(items)
        while left:
            pool = Parallel(n_jobs=self.slots, return_as="generator_unordered", batch_size=1)
            try:
                for position, found in pool(calls()):
                    running.discard(position)
                    left -= 1
                    yield position, found
            except BrokenProcessPool as error:
                # It does not say whose process died, and all processes of a pool end together.
                for position in sorted(running):
                    left -= 1
                    yield position, Lost(str(error).splitlines()[0])
                running.clear()


def guarded(call: Call, shared: Any, item: Any) -> Any:
    """Return what a call returns, or what it raised."""
    try:
        with _ONE_AT_A_TIME:
            return call(shared, item)
    except Exception as error:
        return raised(error)


def raised(error: BaseException) -> Raised:
    """Describe an exception."""
    own = isinstance(error, FloorlineError)
    text = str(error) if own else f"{type(error).__name__}: {error}"
    return Raised(text, "".join(traceback.format_exception(error)))


def _numbered(position: int, call: Call, shared: Any, item: Any) -> tuple[int, Any]:
    return position, guarded(call, shared, item)


def versions() -> dict[str, str]:
    """Return the versions on which results can depend, by name."""
    found = {"Floorline": __version__, "Python": ".".join(platform.python_version_tuple()[:2])}
    for name in RESULT_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def check_floorline(worker: str, found: object) -> None:
    """Check that a worker has this Floorline.

    Parameters
    ----------
    worker
        Its address.
    found
        Its version of Floorline; None without any.

    Raises
    ------
    EngineUnavailable
        If it has none, or another one.
    """
    if found != __version__:
        has = "no Floorline that can be imported" if found is None else f"Floorline {found}"
        raise EngineUnavailable(
            f"the worker {worker} has {has}, and this process {__version__}: install "
            f"'floorline[bench]=={__version__}' on all workers"
        )


def check_packages(worker: str, found: dict[str, str]) -> None:
    """Check that a worker has the ``versions`` of this process, so that results are the same.

    Raises
    ------
    EngineUnavailable
        If one differs.
    """
    here = versions()
    differing = [
        f"{name} {found.get(name)} instead of {here[name]}"
        for name in here
        if found.get(name) != here[name]
    ]
    if differing:
        raise EngineUnavailable(
            f"the worker {worker} has {listed(differing)}, so that its results could differ from "
            "those of this process: install the same versions on all workers"
        )


def open_engine(
    name: EngineName, *, address: str | None = None, jobs: int | None = None
) -> AbstractContextManager[Engine]:
    """Return a context manager that gives an engine, and ends what it started.

    Parameters
    ----------
    name
        The engine.
    address
        Address of a cluster: ``tcp://HOST:8786`` of a scheduler of Dask; ``HOST:6379``,
        ``ray://HOST:10001`` or ``auto`` of Ray. By default that of the engine's own settings
        (``DASK_SCHEDULER_ADDRESS``, ``RAY_ADDRESS``); without any a cluster of this machine is
        started.
    jobs
        Number of processes of this machine; None for 2. A running cluster has its own number.

    Raises
    ------
    InvalidInput
        If a value is unknown, or does not go with the others.
    MissingExtra
        If the engine is not installed.
    EngineUnavailable
        When it is entered: if the cluster cannot be reached, has no workers, or has other versions
        of Floorline or of packages.
    """
    check_one_of("--engine", name, get_args(EngineName))
    if name == "local":
        if address is not None:
            fix = "give it with --engine dask or --engine ray only"
            raise InvalidInput("--address", address, fix)
        return nullcontext(LocalEngine(jobs or _DEFAULT_JOBS))
    if name == "dask":
        from floorline.replay.dask_engine import dask_address, dask_engine

        return dask_engine(*_where(dask_address(address), jobs))
    from floorline.replay.ray_engine import ray_address, ray_engine

    return ray_engine(*_where(ray_address(address), jobs))


def _where(address: str | None, jobs: int | None) -> tuple[str | None, int]:
    if address is not None and jobs is not None:
        fix = f"leave it out: the cluster {address} has its own number of workers"
        raise InvalidInput("--jobs", jobs, fix)
    return address, jobs or _DEFAULT_JOBS
