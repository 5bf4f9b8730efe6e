"""Settings of where the gateway listens, and of proxies before it."""

import pytest

from floorline.errors import ConfigError, InvalidInput

LEAST = """
models: [{{name: small, endpoint: "http://127.0.0.1:8000/v1"}}]
slas: [{{name: gold, floor: 0.9}}]
auth: {auth}
server: {server}
"""


@pytest.fixture
def server(read):
    return lambda text, auth="keys": read(LEAST.format(server=text, auth=auth)).server


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("15s", 15.0), ("250ms", 0.25), (30, 30.0), ("'20'", 20.0), ("1h", 3600.0)]
    + [(off, 0.0) for off in (0, "0", "'0'", "0s", "off", "'off'", "false", "no")],
)
def test_the_pause_between_comments(server, written, seconds):
    assert server(f"{{stream_keepalive: {written}}}").stream_keepalive == seconds


def test_defaults(server):
    found = server("{}")
    assert found.stream_keepalive == 15.0
    assert (found.unix_socket, found.tls, found.root_path, found.trusted_proxies) == (
        None,
        None,
        None,
        [],
    )


@pytest.mark.parametrize(
    ("written", "path"),
    [("/llm", "/llm"), ("/llm/", "/llm"), ("/a/b-c_d.e~1", "/a/b-c_d.e~1"), ("/", ""), ("''", "")],
)
def test_the_path_of_a_proxy(server, written, path):
    assert server(f"{{root_path: {written}}}").root_path == path


@pytest.mark.parametrize(
    ("written", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("'::1'", "::1/128"),
        ("'[fd00::]'", "fd00::/128"),
        ("unix", "unix"),
    ],
)
def test_networks_of_proxies(server, written, network):
    assert server(f"{{trusted_proxies: [{written}]}}").trusted_proxies == [network]


def test_a_unix_socket_is_relative_to_the_file(server, tmp_path):
    found = server("{unix_socket: run/fl.sock, unix_socket_mode: '660'}")
    assert found.unix_socket == str(tmp_path / "run" / "fl.sock")
    assert int(found.unix_socket_mode, 8) == 0o660
    assert server("{unix_socket: /run/fl.sock}").unix_socket == "/run/fl.sock"


@pytest.mark.parametrize(
    ("written", "field", "fix"),
    [
        ("{root_path: llm}", "root_path", "such as /llm"),
        ("{root_path: /a/../b}", "root_path", "such as /llm"),
        ("{root_path: 'https://x/llm'}", "root_path", "such as /llm"),
        ("{root_path: /llm?x}", "root_path", "such as /llm"),
        ("{root_path: /llm/v1}", "root_path", "leave out /v1"),
        ("{trusted_proxies: [nginx]}", "trusted_proxies[0]", "such as 10.0.0.0/8"),
        ("{trusted_proxies: ['*']}", "trusted_proxies[0]", "such as 10.0.0.0/8"),
        ("{trusted_proxies: [10.0.0.0/40]}", "trusted_proxies[0]", "such as 10.0.0.0/8"),
        ("{trusted_proxies: 10.0.0.0/8}", "trusted_proxies", ""),
        ("{unix_socket_mode: 660}", "unix_socket_mode", "in quotes, such as '0660'"),
        ("{unix_socket_mode: '0999'}", "unix_socket_mode", "in quotes, such as '0660'"),
        ("{unix_socket_mode: rw}", "unix_socket_mode", "in quotes, such as '0660'"),
        (f"{{unix_socket: /run/{'x' * 100}}}", "unix_socket", "at most 100 bytes"),
        ("{stream_keepalive: true}", "stream_keepalive", "0 or off for never"),
        ("{stream_keepalive: 2h}", "stream_keepalive", "at most an hour"),
        ("{stream_keepalive: -1}", "stream_keepalive", "0 or off for never"),
        ("{stream_keepalive: never}", "stream_keepalive", "0 or off for never"),
        ("{tls: {}}", "tls.certificate", "PEM file"),
        ("{tls: yes}", "tls", ""),
    ],
)
def test_bad_values_name_the_field_and_the_fix(problems, written, field, fix):
    (problem,) = problems(LEAST.format(server=written, auth="keys"))
    assert f"server.{field} " in problem
    assert fix in problem


def test_a_unix_socket_may_be_open_to_its_owner_without_keys(server, read):
    assert server("{host: 0.0.0.0, unix_socket: fl.sock}", auth="none").unix_socket
    with pytest.raises(ConfigError, match="set auth: keys"):
        server("{host: 0.0.0.0}", auth="none")
    settings = read(LEAST.format(server="{host: 0.0.0.0, unix_socket: fl.sock}", auth="none"))
    with pytest.raises(InvalidInput, match="set auth: keys"):
        settings.at(None, 8000)
    assert settings.at("127.0.0.1", None).server.unix_socket is None


def test_options_take_the_place_of_the_address(read, tmp_path):
    settings = read(LEAST.format(server="{unix_socket: fl.sock}", auth="none"))
    assert settings.at(None, None).server.unix_socket == str(tmp_path / "fl.sock")
    assert settings.at(None, 1234).server.unix_socket is None
    assert settings.at(None, None, tmp_path / "o.sock").server.unix_socket == str(
        tmp_path / "o.sock"
    )
