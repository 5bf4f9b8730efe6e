"""Construction of an encoder from the specification in a configuration file or option."""

from __future__ import annotations

from floorline.encoders.base import Encoder
from floorline.encoders.hashed import HashedNgrams
from floorline.encoders.lsa import Lsa
from floorline.encoders.minilm import MiniLm
from floorline.errors import InvalidInput, did_you_mean

_FIX = "write hashed, hashed:sparse, lsa:PATH, minilm (downloads it) or minilm:PATH"


def make_encoder(spec: str) -> Encoder:
    """Build an encoder from its specification.

    Parameters
    ----------
    spec
        One of

        - ``"hashed"`` or ``"hashed:projected"``: hashed n-grams as a dense vector,
        - ``"hashed:sparse"``: hashed n-grams as ``SparseFeatures``,
        - ``"lsa:PATH"``: a file that ``Lsa.save`` wrote,
        - ``"minilm:PATH"``: a folder with an ONNX model,
        - ``"minilm"``: the model, downloaded from the Hugging Face hub.

    Raises
    ------
    InvalidInput
        If no encoder has this specification.
    DataError
        If the file or folder cannot be read.
    MissingExtra
        If the encoder needs an extra that is not installed.

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
    near = did_you_mean(spec, ("hashed", "hashed:sparse", "hashed:projected", "minilm"))
    raise InvalidInput("encoder", spec, near + _FIX)
