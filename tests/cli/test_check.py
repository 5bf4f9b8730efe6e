import http.server
import json
import threading

import pytest

from floorline.cli.app import main
from floorline.config.reference import schema_text

KEY = "sk-very-secret-0123456789"


class Provider:
    """An OpenAI-compatible endpoint on loopback that lists ``models``."""

    def __init__(self, models):
        provider = self
        self.models = models
        self.asked = []
        self.call_status = 200

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider.asked.append((self.path, self.headers.get("Authorization")))
                if self.headers.get("Authorization") != f"Bearer {KEY}":
                    return self.answer(401, {"error": {"message": "bad key"}})
                if provider.models is None or self.path != "/v1/models":
                    return self.answer(404, {})
                return self.answer(200, {"data": [{"id": name} for name in provider.models]})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                provider.asked.append((self.path, body))
                if provider.call_status != 200:
                    message = f"no model behind key {KEY}"
                    return self.answer(provider.call_status, {"error": {"message": message}})
                choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}}
                return self.answer(200, {"id": "c1", "choices": [choice]})

            def answer(self, status, value):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *about):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def provider():
    provider = Provider(["small-1", "large:latest"])
    yield provider
    provider.close()


@pytest.fixture
def check(tmp_path, capsys):
    """Run ``floorline check`` on a file; its exit code and all it printed."""

    def check(text, *options):
        path = tmp_path / "floorline.yaml"
        path.write_text(text)
        code = main(["check", "--config", str(path), *options])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return check


def config(provider, *models, key=KEY):
    lines = [f"  - {{name: {m}, endpoint: '{provider.url}', api_key: {key}}}" for m in models]
    return "\n".join(["models:", *lines, "slas: [{name: gold, floor: 0.9}]"])


@pytest.mark.parametrize("written", ["{}", "{}/", "HTTP{}/"])
def test_an_endpoint_without_its_version_is_named_with_the_one_to_write(check, provider, written):
    root = provider.url.removesuffix("/v1")
    endpoint = written.format(root if written.startswith("{") else root.removeprefix("http"))
    text = config(provider, "small-1").replace(provider.url, endpoint)
    code, printed = check(text)
    assert code == 2
    assert f"endpoint lacks the version (404): its API is below /v1: write {root}/v1" in printed


def test_providers_that_have_the_models_pass(check, provider):
    code, printed = check(config(provider, "small-1", "large"))
    assert code == 0
    assert "valid; 2 models, 1 SLA" in printed
    assert "problem" not in printed
    assert KEY not in printed
    assert provider.asked == [("/v1/models", f"Bearer {KEY}")] * 2


def test_a_model_that_is_not_listed(check, provider):
    code, printed = check(config(provider, "small-2"))
    assert code == 2
    assert "problem: small-2: the provider does not list 'small-2': set model to one" in printed


def test_a_key_that_is_refused_is_not_shown(check, provider):
    code, printed = check(config(provider, "small-1", key="sk-wrong-one"))
    assert code == 2
    assert "the provider refuses the key (401): set api_key_env" in printed
    assert "sk-wrong-one" not in printed


def test_nobody_answers(check, provider):
    provider.close()
    code, printed = check(config(provider, "small-1"))
    assert code == 2
    assert "problem: small-1: no connection" in printed


def test_a_provider_without_a_list_is_reachable(check, provider):
    provider.models = None
    code, printed = check(config(provider, "small-1"))
    assert code == 0
    assert "yes" in printed


def test_call_asks_for_one_token(check, provider):
    code, _ = check(config(provider, "small-1"), "--call")
    assert code == 0
    path, body = provider.asked[-1]
    assert path == "/v1/chat/completions"
    assert (body["model"], body["max_tokens"]) == ("small-1", 1)


def test_a_call_that_fails_is_told_without_the_key(check, provider):
    provider.call_status = 404
    code, printed = check(config(provider, "small-1"), "--call")
    assert code == 2
    assert "problem: small-1:" in printed
    assert "404" in printed
    assert KEY not in printed


def test_offline_asks_nobody(check, provider):
    code, printed = check(config(provider, "small-2"), "--offline")
    assert (code, provider.asked) == (0, [])
    assert "valid" in printed


def test_every_mistake_is_a_line_of_its_own(check):
    code, printed = check("models: []\nslas: [{name: gold, floor: 2}]\n")
    assert code == 2
    lines = printed.splitlines()
    assert [line.split("floorline.yaml:")[1][:12] for line in lines] == [
        "1: models is",
        "2: slas[0].f",
    ]


def test_a_mistake_that_only_a_start_would_meet(check, provider):
    text = config(provider, "small-1")
    code, printed = check(text + "\npolicy: {name: sla_router, options: {v: -1}}\n", "--offline")
    assert code == 2
    assert "sla_router.v is -1: give a queue length of 0 or more" in printed


def test_the_schema_is_printed(capsys):
    assert main(["check", "--schema"]) == 0
    assert capsys.readouterr().out == schema_text()


def test_a_provider_that_is_not_there_is_said_in_words_of_the_system(check):
    text = "models: [{name: a, endpoint: 'http://127.0.0.1:9/v1'}]\nslas: [{name: g, floor: 0.9}]"
    code, printed = check(text)
    assert code == 2
    assert "problem: a: no connection (Connection refused): check endpoint" in printed


def test_prices_are_printed_and_missing_ones_are_warned_about(check):
    code, printed = check(
        """
        models:
          - {name: gpt-4o-mini, endpoint: "https://api.openai.com/v1", price: auto}
          - {name: mine, endpoint: "http://127.0.0.1:9/v1"}
          - {name: own, endpoint: "http://127.0.0.1:9/v1", input_price: 0}
        slas: [{name: gold, floor: 0.9}]
        """,
        "--offline",
    )
    assert code == 0
    assert "gpt-4o-mini: input 0.15, output 0.6, cached input 0.075" in printed
    assert "(genai-prices " in printed
    assert "mine: NO PRICE" in printed
    assert "own: free" in printed
    assert printed.count("warning:") == 1
    assert "warning: model 'mine' has no price: its calls count as 0 USD" in printed


def test_a_library_has_no_list_and_its_model_names_the_provider(check):
    model = {"name": "m", "kind": "any-llm", "model": "mistral-small", "api_key": KEY}
    text = json.dumps({"models": [model], "slas": [{"name": "gold", "floor": 0.9}]})
    code, printed = check(text, "--offline")
    assert code == 2
    assert "model is 'mistral-small': write the provider before the model" in printed
    code, printed = check(text.replace("mistral-small", "mistral:mistral-small"), "--offline")
    assert code == 0
