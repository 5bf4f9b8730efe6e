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
    ValueError
        If the URL is not http or https, has credentials, or its host can be read in two ways.

    Examples
    --------
    >>> read_origin("https://API.Example.com./v1")
    Origin(scheme='https', host='api.example.com', port=443)
    """
    if not url.isprintable() or "\\" in url or " " in url:
        raise ValueError("a URL has no spaces, backslashes and control characters")
    parsed = URL(url)
    if parsed.scheme not in ("http", "https"):
        raise ValueError("the scheme is http or https")
    if re.match(r"[^/]*//[^/?#]*@", url):
        raise ValueError("a URL has no user and password")
    host = (parsed.raw_host or "").lower().removesuffix(".")
    if not parsed.port:
        raise ValueError("the port is 1 to 65535")
    if _address(host) is None:
        if len(host) > _MAX_NAME or not _HOST_NAME.fullmatch(host):
            raise ValueError("the host is a name or an IP address")
        if _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
            raise ValueError("the host is a name, or an IPv4 address as four decimal numbers")
    return Origin(parsed.scheme, host, parsed.port)


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
        raise ValueError("an IPv6 address has no zone")
    return address
