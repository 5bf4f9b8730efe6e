"""Names in headers: with commas, quotes and letters that are not ASCII, from real clients."""

import json
import socket
import subprocess
from urllib.parse import urlsplit

import pytest
from tests.support.live_gateway import ZOO

from floorline.errors import InvalidInput
from floorline.gateway.header_text import as_header, header_names, header_text

NAMES = ["sim-nano", "a,b", "über-modell", 'say "hi"', "50%25", "模型,大"]
"""Names of models; the last one serves if the others are excluded."""


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["small,tiny"], ("small", "tiny")),
        ([" small , , tiny, "], ("small", "tiny")),
        (["small", "tiny,big"], ("small", "tiny", "big")),
        (['"a,b", c'], ("a,b", "c")),
        (["a%2Cb,c"], ("a,b", "c")),
        (["%C3%BC"], ("ü",)),
        (["ü".encode().decode("latin-1")], ("ü",)),
        (["\xfc"], ("ü",)),
        (['"say \\"hi\\" \\\\"'], ('say "hi" \\',)),
        (['"50%25"'], ("50%25",)),
        (["50%25"], ("50%",)),
        (["50%"], ("50%",)),
        (["%ff"], ("%ff",)),
        ([""], ()),
    ],
)
def test_a_list_of_names(lines, names):
    assert header_names("X", lines) == names


@pytest.mark.parametrize("line", ['"a', 'a"b', '"a" b', '"a\\'])
def test_a_quote_that_is_not_closed_or_inside_a_name_is_refused(line):
    with pytest.raises(InvalidInput, match=r"X is .*: close the quotes"):
        header_names("X", [line])


@pytest.mark.parametrize("name", [*NAMES, "a/b:c@1", "a\\b", "tab\tname"])
def test_what_an_answer_names_can_be_sent_back(name):
    written = as_header(name)
    assert written.isascii()
    assert header_names("X", [written.decode("latin-1")]) == (name,)
    assert header_text(written.decode("latin-1")) == name


@pytest.fixture
def named(start, provider):
    models = [
        {"name": name, "endpoint": f"{provider}/v1", "model": ZOO.models[0].name}
        for name in (name.replace(" ", "_") for name in NAMES)
    ]
    settings = {"models": models, "slas": [{"name": "gold", "floor": 0.5}]}
    return start(json.dumps({**settings, "auth": "none", "store": {"url": "sqlite:///h.db"}}))


BODY = json.dumps(
    {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
).encode()
OTHERS = ['sim-nano, "a,b"', "über-modell", '"say_\\"hi\\""', '"50%25"']
"""Lines of the header that exclude all models but the last one."""


@pytest.mark.parametrize("lines", [OTHERS, [", ".join(OTHERS)]], ids=["four lines", "one line"])
def test_a_raw_client_excludes_models_by_bytes_of_utf_8(named, lines):
    url = urlsplit(named.url)
    head = ["POST /v1/chat/completions HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    head += ["Content-Type: application/json", f"Content-Length: {len(BODY)}"]
    head += [f"X-Floorline-Exclude: {line}" for line in lines]
    with socket.create_connection((url.hostname, url.port), timeout=60) as sock:
        sock.sendall("\r\n".join([*head, "", ""]).encode() + BODY)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert b"x-floorline-model: " + as_header(NAMES[-1]) in answer


def test_curl_excludes_models_by_ascii_only(named):
    header = "X-Floorline-Exclude: sim-nano, a%2Cb, %C3%BCber-modell, say_%22hi%22, 50%2525"
    url = f"{named.url}/v1/chat/completions"
    kind = "content-type: application/json"
    done = subprocess.run(
        ["curl", "-sS", "-i", url, "-H", header, "-H", kind, "--data-binary", "@-"],
        input=BODY,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert f"x-floorline-model: {as_header(NAMES[-1]).decode()}".encode() in done.stdout


def test_the_names_of_answers_are_excluded_one_after_the_other(named):
    seen: list[str] = []
    for _ in NAMES:
        given = {"X-Floorline-Exclude": ",".join(seen)} if seen else {}
        seen.append(named.chat(headers=given).headers["x-floorline-model"])
    assert len(set(seen)) == len(NAMES)
    last = named.chat(headers={"X-Floorline-Exclude": ",".join(seen)})
    assert last.status_code == 400


def test_the_same_session_in_a_header_and_in_the_body(named):
    answers = [
        named.chat(headers={"X-Floorline-Session": "caf%C3%A9"}),
        named.chat(headers={"X-Floorline-Session": "café".encode()}),
        named.chat(floorline={"session": "café"}),
    ]
    router = named.gateway.router
    ids = [answer.headers["x-floorline-decision"] for answer in answers]
    assert {router.find(id).decision.session for id in ids} == {"café"}


def test_a_header_with_an_open_quote_is_a_400_that_names_it(named):
    answer = named.chat(headers={"X-Floorline-Exclude": '"a,b'})
    assert answer.status_code == 400
    assert "X-Floorline-Exclude is '\"a,b': close the quotes" in answer.json()["error"]["message"]
