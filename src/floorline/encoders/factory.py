"""Encoders by name, as configuration files write them."""

from __future__ import annotations

from floorline.encoders.base import Encoder
from floorline.encoders.hashed import HashedNgrams
from floorline.encoders.lsa import Lsa
from floorline.encoders.minilm import MiniLm
from floorline.errors import InvalidInput

_FIX = "write hashed, hashed:sparse, lsa:PATH, minilm (downloads it) or minilm:PATH"


def make_encoder(spec: str) -> Encoder:
    """Build an encoder from its specification.

    Parameters
    ----------
    spec
        ``"hashed"`` or ``"hashed:projected"``; ``"hashed:sparse"``; ``"lsa:PATH"``, a file of
        ``Lsa.save``; ``"minilm:PATH"``, a folder; ``"minilm"``, from the Hugging Face hub.

    Raises
    ------
    InvalidInput
        If there is no such encoder.
    DataError
        If its file or folder cannot be read.
    MissingExtra
        If it needs an extra that is not installed.

    Examples
    --------
    >>> make_encoder("hashed").dim
    1024
    """
    if not isinstance(spec, str):
        raise InvalidInput("encoder", spec, _FIX)
    name, _, detail = spec.partition(":")
    if name == "hashed" and detail in ("", "projected", "sparse"):
        return HashedNgrams(output=detail or "projected")
    if name == "lsa" and detail:
        return Lsa.load(detail)
    if name == "minilm":
        return MiniLm(detail) if detail else MiniLm.from_hub()
    raise InvalidInput("encoder", spec, _FIX)
