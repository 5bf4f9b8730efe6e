"""Decode compressed bodies of requests (``Content-Encoding``), within limits.

A few bytes may stand for gigabytes. Therefore a body is decoded in pieces of bounded size, and each
piece is counted before the next one is made. The decoders' own memory is bounded as well (32 MiB
for zstd, 16 MiB for br), and one body is decoded at a time, because decoding waits for nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from floorline.gateway.errors import ApiError

_MAX_CODINGS = 3
"""Codings of one body; clients use one."""
_MAX_PARTS = 5_000
"""Members of a gzip file or frames of a zstd file; parallel compressors write one for 64 KiB."""
_PIECE = 64 * 1024
"""Bytes of one step, of the compressed and of the decoded body."""
_ZSTD_WINDOW_BITS = 25
"""Largest window of zstd, 32 MiB: more than a body may have by default."""

_Pieces = Iterator[bytes]


class _BadData(Exception):
    """The data is not what its coding says."""


def codings(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """List how a request's body is encoded, in the order in which it was.

    Parameters
    ----------
    headers
        Headers of the request, names in lower case.

    Raises
    ------
    ApiError
        415 if a coding is unknown or there are too many.
    """
    written = b""
    for name, value in headers:
        if name == b"content-encoding" or name == b"transfer-encoding":
            written += b"," + value
    if not written:
        return []
    words = [word.strip().lower() for word in written.decode("latin-1").split(",")]
    # The server itself takes the chunks apart.
    found = [word for word in words if word not in ("", "identity", "chunked")]
    if len(found) > _MAX_CODINGS:
        raise _unsupported(f"the body has {len(found)} codings")
    for word in found:
        if word not in _DECODERS:
            raise _unsupported(f"the body has the Content-Encoding {word[:40]!r}")
        if not _installed(word):
            raise _unsupported(
                f"this gateway cannot decode the Content-Encoding {word!r}, because a package is "
                "missing (pip install 'floorline[gateway]')"
            )
    return found


def decode(
    data: bytes, encoded: list[str], limit: int, take: Callable[[int], None], larger: ApiError
) -> bytes:
    """Decode a body.

    Parameters
    ----------
    data
        The body as it was sent.
    encoded
        Its codings, in the order in which they were applied.
    limit
        Largest size of the decoded body in bytes.
    take
        Counts bytes of memory; it may raise.
    larger
        Raised if the decoded body is larger than the limit.

    Raises
    ------
    ApiError
        400 if the data is not encoded as said.
    """
    for coding in reversed(encoded):
        pieces, size = [], 0
        try:
            for piece in _DECODERS[coding](data):
                size += len(piece)
                if size > limit:
                    raise larger
                take(len(piece))
                pieces.append(piece)
        except _BadData as error:
            raise ApiError(
                400,
                f"the body is no {coding} data, as its Content-Encoding says ({error}): send it "
                "whole, or without that header",
                code="invalid_encoding",
            ) from None
        data = b"".join(pieces)
    return data


def _unsupported(text: str) -> ApiError:
    known = ", ".join(name for name in ("gzip", "deflate", "zstd", "br") if _installed(name))
    return ApiError(
        415,
        f"{text}: send it as {known}, at most {_MAX_CODINGS} of them, or without Content-Encoding",
        code="unsupported_encoding",
        headers={"accept-encoding": known},
    )


def _steps(data: bytes) -> Iterator[memoryview]:
    """Pieces of the compressed data: the decoders copy what they have not used yet."""
    view = memoryview(data)
    for start in range(0, len(data), _PIECE):
        yield view[start : start + _PIECE]


def _gzip(data: bytes) -> _Pieces:
    return _inflate(data, zlib.MAX_WBITS | 16)


def _deflate(data: bytes) -> _Pieces:
    # The coding is named after the format without a header, which some clients send.
    zlib_header = len(data) > 1 and data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0
    return _inflate(data, zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS)


def _inflate(data: bytes, format: int) -> _Pieces:
    decoder, parts = zlib.decompressobj(format), 1
    try:
        for step in _steps(data):
            left: Any = step
            while left:
                if decoder.eof:
                    parts += 1
                    decoder = zlib.decompressobj(format)
                    _check_parts(parts)
                yield decoder.decompress(left, _PIECE)
                left = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
        while not decoder.eof and (piece := decoder.decompress(b"", _PIECE)):
            yield piece
    except zlib.error:
        raise _BadData("it is malformed") from None
    if not decoder.eof:
        raise _BadData("it is cut short")


def _zstd(data: bytes) -> _Pieces:
    zstd = _import_zstd()
    options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_BITS}
    decoder, parts = zstd.ZstdDecompressor(options=options), 1
    try:
        for step in _steps(data):
            left: Any = step
            while left or not (decoder.needs_input or decoder.eof):
                if decoder.eof:
                    parts += 1
                    decoder = zstd.ZstdDecompressor(options=options)
                    _check_parts(parts)
                yield decoder.decompress(left, _PIECE)
                left = decoder.unused_data if decoder.eof else b""
    except zstd.ZstdError as error:
        needs_memory = "memory" in str(error)
        limit = f"its window is larger than {2 ** (_ZSTD_WINDOW_BITS - 20)} MiB"
        raise _BadData(limit if needs_memory else "it is malformed") from None
    if not decoder.eof:
        raise _BadData("it is cut short")


def _brotli(data: bytes) -> _Pieces:
    import brotli

    decoder = brotli.Decompressor()
    try:
        for step in _steps(data):
            yield decoder.process(bytes(step), output_buffer_limit=_PIECE)
            while not decoder.can_accept_more_data():
                yield decoder.process(b"", output_buffer_limit=_PIECE)
        # It takes more data as soon as it has read all it has, also with output left.
        while not decoder.is_finished() and (
            piece := decoder.process(b"", output_buffer_limit=_PIECE)
        ):
            yield piece
    except brotli.error:
        raise _BadData("it is malformed") from None
    if not decoder.is_finished():
        raise _BadData("it is cut short")


def _check_parts(parts: int) -> None:
    if parts > _MAX_PARTS:
        raise _BadData(f"it has more than {_MAX_PARTS:,} parts")


_DECODERS: dict[str, Callable[[bytes], _Pieces]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
    "br": _brotli,
}


def _import_zstd() -> Any:
    try:
        # Python 3.14 has it.
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd


@cache
def _installed(coding: str) -> bool:
    try:
        if coding == "zstd":
            _import_zstd()
        elif coding == "br":
            import brotli

            # Older versions decode without a bound.
            return hasattr(brotli.Decompressor, "can_accept_more_data")
    except ImportError:
        return False
    return True
