"""URLs as people and providers' pages write them: read as they are called, or refused clearly."""

import pytest

from floorline.config.addresses import BadUrl
from floorline.config.base_url import read_base_url

MODEL = "models: [{{name: small, endpoint: {}}}]\nslas: [{{name: gold, floor: 0.9}}]"
AZURE = "https://r.openai.azure.com/openai/deployments/d"


@pytest.mark.parametrize(
    ("written", "called"),
    [
        ("http://a/v1/", "http://a/v1"),
        ("http://a/v1//", "http://a/v1"),
        ("http://a", "http://a"),
        ("HTTP://A.Example/V1", "http://a.example/V1"),
        ("hTTps://API.example.COM:8443/v1", "https://api.example.com:8443/v1"),
        ("https://api.example.com./v1", "https://api.example.com./v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://[FE80::AB]/v1", "http://[fe80::ab]/v1"),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1"),
        ("http://gpu_box:8000/v1", "http://gpu_box:8000/v1"),
        ("https://a/openai/?api-version=2024-10-21", "https://a/openai?api-version=2024-10-21"),
        ("https://a/v1?", "https://a/v1"),
        ("https://a?x=1&y=%20", "https://a?x=1&y=%20"),
        (f"{AZURE}?api-version=2024-10-21", f"{AZURE}?api-version=2024-10-21"),
        (
            f"{AZURE}/chat/completions?api-version=2024-10-21",
            f"{AZURE}?api-version=2024-10-21",
        ),
        (
            "https://r.services.ai.azure.com/models?api-version=2024-05-01-preview",
            "https://r.services.ai.azure.com/models?api-version=2024-05-01-preview",
        ),
        ("http://a/v1/chat/completions/", "http://a/v1"),
    ],
)
def test_a_base_url_is_read_as_it_is_called(written, called):
    assert read_base_url(written) == called


@pytest.mark.parametrize(
    ("written", "wrong", "fix"),
    [
        ("localhost:11434/v1", "lacks a scheme", "write http://localhost:11434/v1"),
        ("gpu-box:8000", "lacks a scheme", "write http://gpu-box:8000"),
        ("10.0.0.5/v1", "lacks a scheme", "write http://10.0.0.5/v1"),
        ("[::1]:8000/v1", "lacks a scheme", "write http://[::1]:8000/v1"),
        ("api.openai.com/v1", "lacks a scheme", "write https://api.openai.com/v1"),
        ("//api.openai.com/v1", "lacks a scheme", "write https://api.openai.com/v1"),
        ("https:/a.example/v1", "lacks a scheme", "write https://a.example/v1"),
        ("http//a/v1", "lacks a scheme", "write http://a/v1"),
        ("ftp://a/v1", "has the scheme ftp", "give a URL of http:// or https://"),
        ("http://", "has no valid host", "give the name of a host or its IP address"),
        ("http://a:99999/v1", "has no valid port", "give a port from 1 to 65535"),
        ("http://a:0/v1", "has no valid port", "give a port from 1 to 65535"),
        ("http://a:http/v1", "has no valid port", "give a port from 1 to 65535"),
        ("http://a b/v1", "has a space, a backslash or a control", "remove it"),
        ("http://a/#v1", "has a fragment, which no server receives", "remove #"),
        ("http://127.1/v1", "has a host that ends in a number", "four decimal numbers"),
        ("http://[fe80::1%25eth0]/v1", "has an IPv6 address with a zone", "without %"),
        ("http://a/v1/embeddings", "is the address of one of its parts", "write http://a/v1"),
        ("http://a/v1/models?b=c", "is the address of one of its parts", "write http://a/v1?***"),
        ("“http://a/v1”", "is in quotes", "remove the quotes"),
        ("http://me:secret@a/v1", "has a user or a password", "give a key in api_key"),
    ],
)
def test_an_endpoint_that_cannot_be_called_says_what_to_write(problems, written, wrong, fix):
    (line,) = problems(MODEL.format(f"'{written}'"))
    assert f", which {wrong}" in line
    assert fix in line.rpartition(": ")[2] if "://" not in fix else fix in line
    assert "secret" not in line


def test_the_value_of_a_variable_is_not_part_of_the_fix(problems):
    (line,) = problems(MODEL.format("'${URL}'"), URL="sk-very-secret:1/v1")
    assert line.endswith(
        "endpoint is '${URL}', which lacks a scheme: write http:// or https:// before the host"
    )


@pytest.mark.parametrize("around", ["{}\n", " {} ", "{}\r\n", "\ufeff{}", '"{}"\n', "'{}'"])
def test_what_is_around_the_value_of_a_variable_is_no_part_of_it(read, around):
    settings = read(MODEL.format("'${URL}'"), URL=around.format("HTTP://a/v1/"))
    assert settings.models[0].endpoint == "http://a/v1"


def test_a_url_of_any_length_is_read_in_time(problems):
    (line,) = problems(MODEL.format("'http://a/" + "b" * 3000 + "'"))
    assert "which is too long: give a URL of at most 2,048 characters" in line


@pytest.mark.parametrize("url", ["HTTPS://T.example/v1?k=1", " https://t.example/v1?k=1\n"])
def test_every_field_with_a_base_url_has_the_same_reader(more, url):
    settings = more("telemetry: {otlp_endpoint: '${URL}'}", URL=url)
    assert settings.telemetry.otlp_endpoint == "https://t.example/v1?k=1"


def test_an_error_of_a_url_says_what_is_wrong():
    with pytest.raises(BadUrl, match="it lacks a scheme: write http:// or https:// before"):
        read_base_url("localhost:1")
