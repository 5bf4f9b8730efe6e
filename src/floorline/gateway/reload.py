"""Take over a changed configuration file without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from floorline.config import Settings, load
from floorline.errors import FloorlineError, InvalidInput
from floorline.gateway.config_diff import Changes, at_run_time, changes

log = logging.getLogger("floorline.gateway")

Apply = Callable[[Settings, Settings], Awaitable[None] | None]
_Stamps = dict[Path, tuple[int, int, int] | None]


class Reloader:
    """Watches a configuration file, and the files of providers' keys that it names.

    A good file is handed to ``apply(old, new)``, with whatever cannot change at run time as it
    was. A bad one changes nothing; ``error`` says what is wrong with it until it is mended.

    Parameters
    ----------
    path
        The file.
    apply
        Takes over new settings; raises a FloorlineError to refuse them.
    settings
        What is in force.
    environ
        For references in the file.
    every
        Seconds between two looks at the files. A change counts once two looks in a row agree, so
        that a file is not read while it is being written.

    Attributes
    ----------
    settings
        What is in force.
    error
        Why the file on disk is not in force; None if it is.
    restart
        Fields of the file that wait for a restart.
    loaded_at
        Unix time at which the settings in force were read.
    reloads, failures
        Files taken over and files refused so far.
    """

    def __init__(
        self,
        path: str | Path,
        apply: Apply,
        settings: Settings,
        *,
        environ: Mapping[str, str] = os.environ,
        every: float = 1.0,
    ) -> None:
        self.path = Path(path)
        self.settings = settings
        self.error: str | None = None
        self.restart: tuple[str, ...] = ()
        self.loaded_at = time.time()
        self.reloads = 0
        self.failures = 0
        self._apply = apply
        self._environ = environ
        self._every = every
        self._lock = asyncio.Lock()
        self._hangup = asyncio.Event()
        self._loaded = self._seen = self._stamps()
        # Options of the command line may stand above the file; they are no change of it.
        self._at_start = settings
        with contextlib.suppress(FloorlineError):
            self._at_start = load(self.path, environ)

    async def run(self) -> None:
        """Watch until cancelled; SIGHUP makes it read the file at once."""
        with self._on_hangup():
            while True:
                try:
                    await asyncio.wait_for(self._hangup.wait(), self._every)
                except TimeoutError:
                    await self.look()
                else:
                    self._hangup.clear()
                    await self.reload()

    async def look(self) -> Changes | None:
        """Read the file if it has changed and rests; the changes, None if there are none."""
        stamps = self._stamps()
        rests, self._seen = stamps == self._seen, stamps
        # A refused file may refer to something that has been mended since: try again.
        if not rests or (stamps == self._loaded and self.error is None):
            return None
        return await self.reload()

    async def reload(self) -> Changes | None:
        """Read the file and take it over; the changes, None if it is refused."""
        async with self._lock:
            stamps = self._stamps()
            try:
                # Reading it takes milliseconds, in which requests should go on.
                new = await asyncio.to_thread(load, self.path, self._environ)
                if new.cost_unit != self.settings.cost_unit:
                    fix = f"keep {self.settings.cost_unit!r}, or restart"
                    raise InvalidInput("cost_unit", new.cost_unit, fix)
                waiting = changes(self._at_start, new).restart
                found = changes(self.settings, new)._replace(restart=waiting)
                effective = at_run_time(self.settings, new)
                if effective != self.settings:
                    done = self._apply(self.settings, effective)
                    if inspect.isawaitable(done):
                        await done
            except Exception as error:
                if not isinstance(error, FloorlineError):
                    # A fault of ours: the file must go on being watched all the same.
                    log.exception("the configuration could not be taken over")
                self._refuse(str(error) or type(error).__name__)
                self._loaded = stamps
                return None
            self.settings = effective
            # As they were before they were read: what changed since is read next time.
            self._loaded = {file: stamps.get(file, s) for file, s in self._stamps().items()}
            self._take_over(found)
            return found

    def _refuse(self, error: str) -> None:
        if error != self.error:
            self.failures += 1
            log.error(
                "the configuration is not in force, the one before is: %s",
                error.replace("\n", " | "),
            )
        self.error = error

    def _take_over(self, found: Changes) -> None:
        waits_anew = found.restart != self.restart
        if self.error is not None or waits_anew or found._replace(restart=()):
            self.reloads += 1
            self.loaded_at = time.time()
            log.info("configuration reloaded: %s", found)
        self.error = None
        self.restart = found.restart

    def _stamps(self) -> _Stamps:
        return {file: _stamp_of(file) for file in (self.path, *self.settings.key_files())}

    @contextlib.contextmanager
    def _on_hangup(self) -> Iterator[None]:
        hangup = getattr(signal, "SIGHUP", None)
        loop = asyncio.get_running_loop()
        try:
            if hangup is not None:
                loop.add_signal_handler(hangup, self._hangup.set)
        except (ValueError, RuntimeError, NotImplementedError):
            # Signals come to the main thread only; the file is still watched.
            hangup = None
        try:
            yield
        finally:
            if hangup is not None:
                loop.remove_signal_handler(hangup)


def _stamp_of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    # Editors and orchestrators put another file in place: its inode tells.
    return found.st_mtime_ns, found.st_ino, found.st_size
