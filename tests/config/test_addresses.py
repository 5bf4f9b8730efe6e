"""What the HTTP client sees in a URL, and where no model of the run time may be."""

import ipaddress

import pytest

from floorline.config.addresses import (
    forbidden_address,
    is_loopback,
    names_loopback,
    never_called,
    read_origin,
)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.example.com/v1", ("https", "api.example.com", 443)),
        ("HTTP://API.Example.COM.:8000", ("http", "api.example.com", 8000)),
        ("http://Bücher.de", ("http", "xn--bcher-kva.de", 80)),
        ("http://[::1]:8000/v1", ("http", "::1", 8000)),
        ("http://[::FFFF:10.0.0.1]", ("http", "::ffff:a00:1", 80)),
        ("http://1２7。0。0。1", ("http", "127.0.0.1", 80)),
        ("http://gpu_box:1", ("http", "gpu_box", 1)),
    ],
)
def test_an_origin_is_what_the_client_calls(url, origin):
    assert read_origin(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com",
        "ftp://example.com",
        "http://",
        "http://:80",
        "http://u:p@example.com",
        "http://@example.com",
        "http://exa mple.com",
        "http://example.com\\@evil.com",
        "http://exam%70le.com",
        "http://a..b",
        "http://-a.com",
        "http://a-.com",
        "http://" + "a" * 64 + ".com",
        "http://" + "a." * 130 + "com",
        "http://2130706433",
        "http://0x7f000001",
        "http://0x7f.1",
        "http://127.1",
        "http://0177.0.0.1",
        "http://1.2.3.4.5",
        "http://256.1.1.1",
        "http://example.123",
        "http://[fe80::1%25eth0]",
        "http://[fe80::1%eth0]",
        "http://[::1",
        "http://example.com:0",
        "http://example.com:65536",
        "http://example.com:x",
        "http://example.com\r\nHost: x",
        "http://exa\tmple.com",
    ],
)
def test_a_url_that_can_be_read_in_two_ways_is_refused(url):
    with pytest.raises(ValueError):
        read_origin(url)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::ffff:0:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "2001:db8::5efe:169.254.169.254",
        "::ffff:100.100.100.200",
        "::ffff:0.0.0.0",
    ],
)
def test_addresses_that_are_never_called(address):
    assert forbidden_address(ipaddress.ip_address(address)) is not None


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "10.0.0.5", "192.168.1.1", "127.0.0.1", "::1", "2606:4700::1", "fd12:3456::1"],
)
def test_addresses_that_the_file_may_allow(address):
    assert forbidden_address(ipaddress.ip_address(address)) is None


def test_names_of_metadata_services_are_never_called():
    assert never_called(read_origin("http://Metadata.Google.Internal.")) == "is a metadata service"
    assert never_called(read_origin("http://metadata")) is not None
    assert never_called(read_origin("http://metadata.example.com")) is None


def test_this_machine_has_many_names():
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"):
        assert is_loopback(ipaddress.ip_address(address))
        assert names_loopback(address)
    assert names_loopback("localhost")
    assert names_loopback("app.localhost")
    assert not names_loopback("localhost.example.com")
    assert not is_loopback(ipaddress.ip_address("10.0.0.1"))
