"""Events that are whole, and that this version of Floorline cannot read: a newer one wrote them."""

from __future__ import annotations

from floorline._version import __version__
from floorline.errors import InvalidInput, StoreUnavailable


class UnknownEvent(StoreUnavailable):
    """An event of the store has a kind or a form that this version does not know.

    Parameters
    ----------
    where
        What the event is.
    version
        Version of Floorline that wrote it; None if it is not known.
    problem
        Why it cannot be decoded.
    """

    def __init__(self, where: str, version: str | None, problem: InvalidInput) -> None:
        newer = "a newer version" if version is None else f"version {version}"
        super().__init__(
            f"{where} cannot be read by Floorline {__version__}, because {newer} wrote it: run "
            f"{newer} of Floorline here ({problem})"
        )
