"""Ids that no other router, process or fork of a process issues."""

from __future__ import annotations

import os
import re

_RANDOM = re.compile("d[0-9a-f]{16}-[0-9a-f]+")
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class IdSource:
    """Builds ids from a prefix and a number.

    Parameters
    ----------
    prefix
        Text that every id begins with. By default it is drawn at random (64 bits), for this object
        and again in every fork of the process: after a billion prefixes the probability that two
        are equal is 3 %. A prefix that is given stays; use it only where runs must repeat exactly,
        such as in a replay.

    Examples
    --------
    >>> IdSource("d7").make(255)
    'd7-ff'
    >>> IdSource().make(1) == IdSource().make(1)
    False
    """

    def __init__(self, prefix: str | None = None) -> None:
        self._fixed = prefix is not None
        self._prefix = "" if prefix is None else prefix
        self._forks = _forks
        self.renew()

    @staticmethod
    def issues(id: str) -> bool:
        """Whether an id may be one of a source with a random prefix.

        Examples
        --------
        >>> IdSource.issues(IdSource().make(255)), IdSource.issues("chatcmpl-1")
        (True, False)
        """
        return _RANDOM.fullmatch(id) is not None

    def renew(self) -> None:
        """Draw another prefix, unless it was given: numbers may begin again from here on."""
        self._forks = _forks
        if not self._fixed:
            self._prefix = "d" + os.urandom(8).hex()

    def make(self, number: int) -> str:
        """Id of a number of 0 or more."""
        if self._forks != _forks:
            self.renew()
        return f"{self._prefix}-{number:x}"
