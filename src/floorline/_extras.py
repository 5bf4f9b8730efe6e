"""Optional dependencies: one place that turns a missing one into a line with the pip command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from floorline.errors import MissingExtra


@contextmanager
def needs(extra: str, feature: str) -> Iterator[None]:
    """Raise ``MissingExtra`` where an import within this block finds no module.

    Parameters
    ----------
    extra
        The extra in ``pyproject.toml`` that carries the modules.
    feature
        What needs them, as the beginning of "... needs the extra 'bench'".

    Raises
    ------
    MissingExtra
        If a module that is not Floorline's own is not installed.

    Examples
    --------
    >>> with needs("bench", "replaying"):
    ...     import no_such_module
    Traceback (most recent call last):
    ...
    floorline.errors.MissingExtra: replaying needs the extra 'bench': pip install 'floorline[bench]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "floorline":
            raise
        raise MissingExtra(feature, extra) from error
