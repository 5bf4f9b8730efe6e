"""The field that the gateway may add to a request: ask a stream to end with its usage."""

from __future__ import annotations

import msgspec

from floorline.gateway.lenient_json import read_fields, read_value, write_fields
from floorline.gateway.upstreams.errors import UpstreamError

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
        fields = read_fields(body)
        options = fields.get("stream_options")
        wanted = {} if options is None else read_value(options)
    except ValueError:
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
    return write_fields(fields), True


def refuses_usage(failure: UpstreamError, *, proven: bool) -> bool:
    """Whether a failure can be about the field that ``ask_usage`` added.

    Parameters
    ----------
    failure
        The failure of the call.
    proven
        Whether the model took the field before: then only an error counts that names it.
    """
    if failure.status not in (400, 422) or failure.meaning is None:
        return False
    if failure.names_usage is None:
        return not proven and failure.meaning.reason in ("client_error", "unsupported")
    return failure.names_usage
