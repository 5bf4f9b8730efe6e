import pytest

from floorline.config import load
from floorline.errors import ConfigError
from floorline.sla import SLA, Budget
from floorline.zoo import Model


def test_models_and_slas_are_enough(more):
    settings = more("")
    assert settings.as_zoo().names == ("small", "large")
    assert settings.as_slas() == [SLA("gold", floor=0.9)]
    assert settings.auth == "keys"
    assert settings.memory == 5_000


def test_every_field_of_a_model_reaches_routing(read):
    settings = read("""
        models:
          - name: small
            model: llama3
            endpoint: http://127.0.0.1:8000/v1/
            input_price: 0.1
            output_price: 1e-1
            call_price: 0.001
            context_window: 8192
            capabilities: [tools, json]
            typical_output_tokens: 100
        slas: [{name: gold, floor: 1}]
        cost_unit: J
    """)
    assert settings.as_zoo().models == (
        Model(
            "small",
            input_price=0.1,
            output_price=0.1,
            call_price=0.001,
            context_window=8192,
            capabilities=frozenset({"tools", "json"}),
            typical_output_tokens=100,
            endpoint="http://127.0.0.1:8000/v1",
        ),
    )
    assert settings.as_zoo().cost_unit == "J"
    assert settings.models[0].upstream_model == "llama3"


def test_every_field_of_an_sla_reaches_routing(read):
    settings = read("""
        models: [{name: small, endpoint: "http://h/v1"}]
        slas:
          - name: gold
            floor: 0.9
            budget: {total: 5, per_model: {small: 2}, period: 30d}
            confidence: 0.99
            label_window: 500
            max_latency: 250ms
            models: [small]
            per_tenant: true
    """)
    assert settings.as_slas() == [
        SLA(
            "gold",
            floor=0.9,
            budget=Budget(total=5, per_model={"small": 2}, period=30 * 86400.0),
            confidence=0.99,
            label_window=500,
            max_latency=0.25,
            models=("small",),
        )
    ]
    assert settings.per_tenant_slas == {"gold"}


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(problems):
    assert problems("""\
        models:
          - name: small
            endpoint: http://127.0.0.1:8000/v1
            inputprice: 3
            input_price: -3
          - name: small
        slas:
          - name: gold
            floor: 1.3
            models: [huge]
        server: {port: 99999}
    """) == [
        "floorline.yaml:4: models[0].inputprice is no known field: write input_price",
        "floorline.yaml:5: models[0].input_price is -3: give a price of 0 or more (cost unit per "
        "million tokens)",
        "floorline.yaml:6: models[1].name is 'small': give another name: models[0] has this one",
        "floorline.yaml:6: models[1].endpoint is missing: give the base URL of its API, such as "
        "http://127.0.0.1:8000/v1",
        "floorline.yaml:9: slas[0].floor is 1.3: give the share of satisfied requests, from 0 to 1",
        "floorline.yaml:10: slas[0].models[0] is 'huge': name one of the models: small",
        "floorline.yaml:11: server.port is 99999: give a port from 0 (any) to 65535",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("auth: open", "auth is 'open': choose 'keys' or 'none'"),
        (
            "auth: none\nserver: {host: 0.0.0.0}",
            "auth is 'none': set auth: keys, or a loopback server.host instead of 0.0.0.0",
        ),
        ("telemetri: {}", "telemetri is no known field: write telemetry"),
        ("memory: yes", "memory is true: give a whole number of 1 or more"),
        ("memory: .inf", "memory is inf: give a whole number of 1 or more"),
        (
            "feedback: {max_age: 30 days}",
            "feedback.max_age is '30 days': give seconds above 0, or a text such as 30s, 12h or "
            "30d",
        ),
        (
            "server: {max_body: 0}",
            "server.max_body is 0: give bytes, 1 or more, or a text such as 20MiB",
        ),
        ("server: 8080", "server is 8080: give fields, one on each line"),
        ("store: {store_prompts: maybe}", "store.store_prompts is 'maybe': write true or false"),
        (
            "telemetry: {service_name: 3}",
            "telemetry.service_name is 3: give a text, in quotes if it looks like a number",
        ),
        (
            "encoder: magic",
            "encoder is 'magic': write hashed, hashed:sparse, lsa:PATH, minilm (downloads it) or "
            "minilm:PATH",
        ),
        (
            "policy: {name: sla_router, options: {V: 3}}",
            "policy.options.V is no parameter of the policy: choose one of: v, c, clip, estimator",
        ),
    ],
)
def test_a_mistake_is_told_with_its_value_and_a_fix(wrong, text, message):
    assert wrong(text) == message


@pytest.mark.parametrize(
    ("name", "told"),
    [("auto", "auto"), ("gold/silver", "letters, digits"), ("two words", "letters, digits")],
)
def test_names_of_slas_can_be_asked_for(problems, name, told):
    (line,) = problems(f"""
        models: [{{name: small, endpoint: "http://127.0.0.1:8000/v1"}}]
        slas: [{{name: {name}, floor: 0.9}}]
    """)
    assert f"slas[0].name is '{name}'" in line
    assert told in line


def test_a_policy_that_needs_hindsight_is_refused(wrong):
    assert wrong("policy: oracle").startswith("policy.name is 'oracle': choose one of mess_plus")


def test_a_policy_is_a_name_or_has_options(more):
    assert more("policy: cheapest").policy.build().name == "cheapest"
    assert more("policy: {name: sla_router, options: {v: 7}}").policy.build().v == 7


def test_an_empty_section_is_as_good_as_none(more):
    assert more("server:\ntelemetry:") == more("")


def test_defaults_hold_where_a_model_says_nothing(read):
    settings = read("""
        defaults:
          endpoint: http://127.0.0.1:8000/v1
          timeouts: {connect: 1s, total: 60s}
          headers: {X-Team: ours, X-Stage: test}
          retries: 5
        models:
          - {name: small}
          - name: large
            endpoint: http://127.0.0.1:9000/v1
            timeouts: {total: 90s}
            headers: {X-Stage: live}
        slas: [{name: gold, floor: 0.9}]
    """)
    small, large = settings.models
    assert (small.endpoint, small.retries, small.timeouts.total) == (
        "http://127.0.0.1:8000/v1",
        5,
        60.0,
    )
    assert large.endpoint == "http://127.0.0.1:9000/v1"
    assert (large.retries, large.timeouts.connect, large.timeouts.total) == (5, 1.0, 90.0)
    assert large.timeouts.first_byte == small.timeouts.first_byte
    headers = {name: value.get_secret_value() for name, value in large.headers.items()}
    assert headers == {"X-Team": "ours", "X-Stage": "live"}


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("sqlite:///a.db", "sqlite:///{folder}/a.db"),
        ("sqlite:////var/a.db", "sqlite:////var/a.db"),
        ("postgres://me:pw@db/logs", "postgresql+psycopg://me:pw@db/logs"),
    ],
)
def test_a_store_is_beside_the_file_or_a_database(more, tmp_path, url, stored):
    assert more(f"store: {{url: '{url}'}}").store.url == stored.format(folder=tmp_path)


def test_the_default_store_is_beside_the_file(more, tmp_path):
    assert more("").store.url == f"sqlite:///{tmp_path}/floorline.db"


def test_paths_of_encoders_are_beside_the_file(more, tmp_path):
    assert more("encoder: lsa:lsa.safetensors").encoder == f"lsa:{tmp_path}/lsa.safetensors"
    assert more("encoder: hashed:sparse").encoder == "hashed:sparse"


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file: give the path"):
        load(path)


def test_a_folder_and_a_file_that_is_no_text(tmp_path):
    with pytest.raises(ConfigError, match="give a file that can be read"):
        load(tmp_path)
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"f\.yaml: the file is not text: write it in UTF-8"):
        load(path)
