"""Replays on the workers of Dask.

It submits calls itself and does not use the Dask backend of joblib, which waits for ever for a call
whose worker died (joblib 1.6).
"""

from __future__ import annotations

import logging
import pydoc
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from floorline._extras import needs
from floorline.replay.engines import (
    VERSION,
    Call,
    EngineUnavailable,
    Lost,
    check_floorline,
    check_packages,
    guarded,
    raised,
    versions,
)

with needs("dask", "--engine dask"):
    import dask
    from distributed import Client, KilledWorker, LocalCluster, as_completed

_PATIENCE_SECONDS = 30
"""Longest wait for the scheduler, and then for a first worker."""


def dask_address(address: str | None) -> str | None:
    """Return the address of the scheduler, or what Dask's own settings say; None without any."""
    found = address or dask.config.get("scheduler-address", None)
    return None if found is None else str(found)


@contextmanager
def dask_engine(address: str | None, jobs: int) -> Iterator[DaskEngine]:
    """Connect to a scheduler, or start one with ``jobs`` workers; see ``open_engine``."""
    if address is None:
        # A call whose worker died is made again by the caller, alone.
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 0}),
            LocalCluster(
                n_workers=jobs,
                threads_per_worker=1,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL + 1,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield DaskEngine(client)
        return
    with _connected(address) as client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE_SECONDS)
        except TimeoutError:
            raise EngineUnavailable(
                f"the scheduler {address} has no workers: start some with 'dask worker {address} "
                "--nthreads 1'"
            ) from None
        yield DaskEngine(client)


def _connected(address: str) -> Any:
    try:
        return Client(address, timeout=_PATIENCE_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise EngineUnavailable(
            f"no scheduler of Dask answers at {address}: {error}; give the address that "
            "'dask scheduler' prints, such as tcp://HOST:8786"
        ) from error


class DaskEngine:
    """Workers of Dask, each with one call at a time; see ``Engine``.

    Raises
    ------
    EngineUnavailable
        If a worker has another version of Floorline or of a package.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        # A function of the standard library, which a worker without this Floorline has too.
        for worker, found in client.run(pydoc.locate, VERSION).items():
            check_floorline(worker, found)
        for worker, found in client.run(versions).items():
            check_packages(worker, found)
        self.slots = max(1, len(client.ncores()))

    def map(self, call: Call, shared: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """See ``Engine``."""
        submit = self._client.submit
        with warnings.catch_warnings():
            # The scheduler keeps the data, so that it is sent again if workers die.
            warnings.filterwarnings("ignore", message="Sending large graph")
            data = submit(_same, shared, pure=False)
        futures = {
            submit(guarded, call, data, item, pure=False): position
            for position, item in enumerate(items)
        }
        for future in as_completed(list(futures), loop=self._client.loop):
            position = futures.pop(future)
            if future.status == "finished":
                yield position, future.result()
            elif future.status == "error":
                error = future.exception()
                dead = isinstance(error, KilledWorker)
                yield position, Lost(str(error)) if dead else raised(error)
            else:
                raise EngineUnavailable(
                    f"the scheduler of Dask was lost ({future.status}): finished replays are kept; "
                    "run the same command again when it is back"
                )


def _same(value: Any) -> Any:
    return value
