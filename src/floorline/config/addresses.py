"""Hosts and addresses of endpoints, as the HTTP client will see them."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from yarl import URL

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_NAME = 253
"""Characters of the longest name that DNS has."""
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label by which resolvers read the whole host as an IPv4 address, as in ``0x7f.1``."""

_METADATA_NAMES = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "metadata.azure.com",
        "metadata.azure.internal",
        "metadata.tencentyun.com",
    }
)
"""Names under which cloud machines reach the service that hands out their credentials."""
_METADATA_ADDRESSES = frozenset(
    map(
        ipaddress.ip_address,
        (
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle Cloud
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google Cloud
            "fd00:42::42",  # Scaleway
        ),
    )
)
"""Metadata services that are not at link-local addresses, as most are."""

_EMBEDDING = (
    # Network, and the bit from the right at which the IPv4 address begins.
    (ipaddress.ip_network("::/96"), 0),
    (ipaddress.ip_network("::ffff:0:0/96"), 0),
    (ipaddress.ip_network("::ffff:0:0:0/96"), 0),
    (ipaddress.ip_network("64:ff9b::/96"), 0),
    (ipaddress.ip_network("64:ff9b:1::/48"), 0),
    (ipaddress.ip_network("2002::/16"), 80),
)
"""IPv6 networks whose addresses stand for IPv4 addresses: mapped, translated, NAT64, 6to4."""


class BadUrl(ValueError):
    """A URL that cannot be called.

    Parameters
    ----------
    wrong
        What is wrong with it, as in "lacks a scheme".
    fix
        How to correct it.
    corrected
        The URL as it is right; "" if that cannot be guessed. It holds what the URL holds, and so
        perhaps a secret.
    """

    def __init__(self, wrong: str, fix: str, corrected: str = "") -> None:
        super().__init__(f"it {wrong}: {fix}")
        self.wrong = wrong
        self.fix = fix
        self.corrected = corrected


class Origin(NamedTuple):
    """Where a URL leads.

    Attributes
    ----------
    scheme
        http or https.
    host
        In lower case and IDNA, without a trailing dot; an IPv6 address without brackets.
    port
        The URL's or its scheme's.
    """

    scheme: str
    host: str
    port: int


def read_origin(url: str) -> Origin:
    """Return where a URL leads, by the parser of the HTTP client.

    Raises
    ------
    BadUrl
        If the URL is not http or https, has credentials, or its host can be read in two ways.

    Examples
    --------
    >>> read_origin("https://API.Example.com./v1")
    Origin(scheme='https', host='api.example.com', port=443)
    """
    if not url.isprintable() or "\\" in url or " " in url:
        raise BadUrl("has a space, a backslash or a control character inside", "remove it")
    _check_scheme(url)
    if re.match(r"[^/]*//[^/?#]*@", url):
        raise BadUrl(
            "has a user or a password",
            "remove them, because addresses are shown and logged; give a key in api_key, or "
            "Authorization in headers",
        )
    try:
        parsed = URL(url)
    except ValueError:
        raise _bad_host(url) from None
    host = (parsed.raw_host or "").lower().removesuffix(".")
    if not parsed.port:
        raise BadUrl("has no valid port", "give a port from 1 to 65535")
    if _address(host) is None:
        if len(host) > _MAX_NAME or not _HOST_NAME.fullmatch(host):
            raise BadUrl("has no valid host", "give the name of a host or its IP address")
        if _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
            fix = "give a name, or an IPv4 address as four decimal numbers"
            raise BadUrl("has a host that ends in a number", fix)
    return Origin(parsed.scheme, host, parsed.port)


def _check_scheme(url: str) -> None:
    """Check that a URL begins with http:// or https://, in any case."""
    if re.match(r"https?://", url, re.IGNORECASE):
        return
    # A name and a port look like a scheme, as in localhost:8000.
    scheme = re.match(r"([a-z][a-z0-9+.-]*)://", url, re.IGNORECASE)
    if scheme is not None:
        raise BadUrl(f"has the scheme {scheme[1][:20]}", "give a URL of http:// or https://")
    mistyped = re.match(r"(https?)(:/?|//)(?=[^/])", url, re.IGNORECASE)
    if mistyped is not None:
        corrected = f"{mistyped[1].lower()}://{url[mistyped.end() :]}"
    else:
        rest = url.removeprefix("//")
        corrected = f"{_likely_scheme(rest)}://{rest}" if re.match(r"[\w.\[]", rest) else ""
    raise BadUrl("lacks a scheme", "write http:// or https:// before the host", corrected)


def _likely_scheme(rest: str) -> str:
    """Return http for hosts that are not on the internet, and for ports that are not TLS's."""
    host, _, port = rest.partition("/")[0].partition(":")
    public = "." in host and not host.replace(".", "").isdigit()
    return "https" if public and port in ("", "443") else "http"


def _bad_host(url: str) -> BadUrl:
    """Tell a port that is no number from a host that cannot be read."""
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    port = authority.rpartition("]")[2].rpartition(":")[2] if ":" in authority else ""
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        return BadUrl("has no valid port", "give a port from 1 to 65535")
    return BadUrl("has no valid host", "give the name of a host or its IP address")


def never_called(origin: Origin) -> str | None:
    """Say why an origin is never called for a model of the run time; None if it may be."""
    if origin.host in _METADATA_NAMES:
        return "is a metadata service"
    address = _address(origin.host)
    return None if address is None else forbidden_address(address)


def forbidden_address(address: IPAddress) -> str | None:
    """Say why no model of the run time may be at an address; None if one may.

    Examples
    --------
    >>> forbidden_address(ipaddress.ip_address("::ffff:169.254.169.254"))
    'is a link-local address'
    >>> forbidden_address(ipaddress.ip_address("10.0.0.5"))
    """
    for one in _readings(address):
        if one in _METADATA_ADDRESSES:
            return "is a metadata service"
        if one.is_link_local:
            return "is a link-local address"
        # "This network": Linux connects to the machine itself.
        if one.is_unspecified or (one.version == 4 and int(one) >> 24 == 0):
            return "is an unspecified address"
        if one.is_multicast or (one.version == 4 and int(one) >> 28 == 15):
            return "is no address of one host"
    return None


def is_loopback(address: IPAddress) -> bool:
    """Whether an address is that of the machine itself, also written as IPv6."""
    return any(one.is_loopback for one in _readings(address))


def names_loopback(host: str) -> bool:
    """Whether a host is by its name the machine itself."""
    address = _address(host)
    if address is not None:
        return is_loopback(address)
    return host == "localhost" or host.endswith(".localhost")


def _readings(address: IPAddress) -> list[IPAddress]:
    """Return the address, and the IPv4 address for which it stands, if any."""
    readings: list[IPAddress] = [address]
    if isinstance(address, ipaddress.IPv6Address) and int(address) > 1:
        for network, shift in _EMBEDDING:
            if address in network:
                readings.append(ipaddress.IPv4Address(int(address) >> shift & 0xFFFF_FFFF))
        # Interface identifiers of ISATAP, in any network.
        if int(address) >> 32 & 0xFDFF_FFFF == 0x0000_5EFE:
            readings.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return readings


def _address(host: str) -> IPAddress | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise BadUrl("has an IPv6 address with a zone", "give the address without %")
    return address
