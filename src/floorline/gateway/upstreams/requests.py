"""The field that the gateway may add to a request: ask a stream to end with its usage."""

from __future__ import annotations

import msgspec

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ASKED = msgspec.Raw(b'{"include_usage":true}')


def ask_usage(body: bytes) -> tuple[bytes, bool]:
    """Ask for the usage of a stream.

    Returns
    -------
    tuple
        The body to send, and whether it differs from the client's.

    Examples
    --------
    >>> ask_usage(b'{"model":"m","stream":true}')
    (b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}', True)
    >>> ask_usage(b'{"stream_options":{"include_usage":true}}')
    (b'{"stream_options":{"include_usage":true}}', False)
    """
    try:
        fields = _decoder.decode(body)
        options = fields.get("stream_options")
        wanted = {} if options is None else msgspec.json.decode(options)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The provider reports what is wrong with the request.
        return body, False
    if not wanted:
        fields["stream_options"] = _ASKED
    elif isinstance(wanted, dict) and not wanted.get("include_usage"):
        fields["stream_options"] = msgspec.Raw(
            msgspec.json.encode({**wanted, "include_usage": True})
        )
    else:
        return body, False
    return msgspec.json.encode(fields), True
