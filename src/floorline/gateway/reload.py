"""Apply a changed configuration file without a restart."""

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
from floorline.gateway.signals import take_early_hangup

log = logging.getLogger("floorline.gateway")

Apply = Callable[[Settings, Settings], Awaitable[None] | None]
_Stamps = dict[Path, tuple[int, int, int] | None]


class Reloader:
    """Watches a configuration file, and the files of providers' keys that it names.

    A valid file is passed to ``apply(old, new)``, with the fields that cannot change at run time
    as they were. An invalid file changes nothing; ``error`` says what is wrong until the file is
    valid again.

    Parameters
    ----------
    path
        The file.
    apply
        Applies new settings; raises a FloorlineError to refuse them.
    settings
        Settings in force.
    environ
        Environment variables for references in the file.
    every
        Seconds between two checks of the files. A change counts once two checks in a row find the
        same, so that a file is not read while it is being written.
    note
        Called with what changed, after a file was applied.

    Attributes
    ----------
    settings
        Settings in force.
    error
        Why the file on disk is not in force; None if it is.
    restart
        Changed fields of the file that take effect at the next restart.
    loaded_at
        Unix time at which the settings in force were read.
    reloads, failures
        Number of files applied and of files refused.
    """

    def __init__(
        self,
        path: str | Path,
        apply: Apply,
        settings: Settings,
        *,
        environ: Mapping[str, str] = os.environ,
        every: float = 1.0,
        note: Callable[[Changes], None] = lambda found: None,
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
        self._note = note
        self._lock = asyncio.Lock()
        self._hangup = asyncio.Event()
        self._loaded = self._seen = self._stamps()
        # Options of the command line replace fields of the file; that is no change of the file.
        self._at_start = settings
        with contextlib.suppress(FloorlineError):
            self._at_start = load(self.path, environ)

    async def run(self) -> None:
        """Watch until cancelled; SIGHUP reads the file at once."""
        with self._on_hangup():
            if take_early_hangup():
                self._hangup.set()
            while True:
                try:
                    await asyncio.wait_for(self._hangup.wait(), self._every)
                except TimeoutError:
                    await self.check()
                else:
                    self._hangup.clear()
                    await self.reload()

    async def check(self) -> Changes | None:
        """Apply the file if it has changed and two checks in a row found the same.

        Returns
        -------
        Changes or None
            What changed; None if nothing did, or the file is refused.
        """
        stamps = self._stamps()
        stable, self._seen = stamps == self._seen, stamps
        # A refused file is tried again: it may refer to another file that was corrected.
        if not stable or (stamps == self._loaded and self.error is None):
            return None
        return await self.reload()

    async def reload(self) -> Changes | None:
        """Read the file and apply it; return the changes, or None if it is refused."""
        async with self._lock:
            stamps = self._stamps()
            try:
                # In a thread, because reading takes milliseconds that requests would wait.
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
                    # A defect of Floorline must not end the watching.
                    log.exception("the configuration cannot be applied")
                self._refuse(str(error) or type(error).__name__)
                self._loaded = stamps
                return None
            self.settings = effective
            # Stamps from before the reading: a change since then is read next time.
            self._loaded = {file: stamps.get(file, s) for file, s in self._stamps().items()}
            self._note_reload(found)
            return found

    def _refuse(self, error: str) -> None:
        if error != self.error:
            self.failures += 1
            log.error(
                "the configuration file is refused, the settings before stay in force: %s",
                error.replace("\n", " | "),
            )
        self.error = error

    def _note_reload(self, found: Changes) -> None:
        waiting_changed = found.restart != self.restart
        if self.error is not None or waiting_changed or found._replace(restart=()):
            self.reloads += 1
            self.loaded_at = time.time()
            log.info("configuration reloaded: %s", found)
            self._note(found)
        self.error = None
        self.restart = found.restart

    def _stamps(self) -> _Stamps:
        return {file: _stamp_of(file) for file in (self.path, *self.settings.key_files())}

    @contextlib.contextmanager
    def _on_hangup(self) -> Iterator[None]:
        hangup = getattr(signal, "SIGHUP", None)
        loop = asyncio.get_running_loop()
        before = None if hangup is None else signal.getsignal(hangup)
        try:
            if hangup is not None:
                loop.add_signal_handler(hangup, self._hangup.set)
        except (ValueError, RuntimeError, NotImplementedError):
            # Signals reach the main thread only; the file is watched all the same.
            hangup = None
        try:
            yield
        finally:
            if hangup is not None:
                loop.remove_signal_handler(hangup)
                # At the end of a server SIGHUP must not end it before its store is closed.
                signal.signal(hangup, before or signal.SIG_DFL)


def _stamp_of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    # The inode changes if an editor or an orchestrator replaces the file.
    return found.st_mtime_ns, found.st_ino, found.st_size
