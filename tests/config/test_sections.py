"""Rules of the sections for SLAs, policy, store and encoder."""

import inspect

import pytest

from floorline.config.sections import DEFAULT_POLICY
from floorline.errors import ConfigError
from floorline.router import Router
from floorline.sla import SLA, Budget
from floorline.stores.engine import open_engine
from floorline.stores.urls import normal_url


def test_every_field_of_an_sla_reaches_routing(read):
    settings = read("""
        models: [{name: small, endpoint: "http://h/v1", output_price: 1}]
        slas:
          - name: gold
            floor: 0.9
            budget: {total: 5, per_model: {small: 2}, period: 30d}
            confidence: 0.99
            label_window: 500
            max_latency: 250ms
            ttft: {p95: 2s, p50: 500ms}
            latency: {p99: 1m}
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
            ttft={"p50": 0.5, "p95": 2.0},
            latency={"p99": 60.0},
            models=("small",),
        )
    ]
    assert settings.per_tenant_slas == {"gold"}


@pytest.mark.parametrize(
    ("name", "told"),
    [("auto", "auto"), ("gold/silver", "letters, digits"), ("two words", "letters, digits")],
)
def test_names_of_slas_must_fit_the_model_field_of_requests(problems, name, told):
    (line,) = problems(f"""
        models: [{{name: small, endpoint: "http://127.0.0.1:8000/v1"}}]
        slas: [{{name: {name}, floor: 0.9}}]
    """)
    assert f"slas[0].name is '{name}'" in line
    assert told in line


@pytest.mark.parametrize(
    ("promise", "told"),
    [
        ("ttft: {p30: 2s}", "slas[0].ttft is 'p30': name a quantile from p50 to p99.9"),
        ("latency: {p99: 1s, p95: 2s}", "slas[0].latency.p99 is '1.0': give p99 at least"),
        ("latency: {p99: soon}", "slas[0].latency.p99 is 'soon': give seconds above 0"),
        ("latency: 2s", "slas[0].latency is '2s': write quantiles with durations"),
    ],
)
def test_promises_of_latency_are_quantiles_with_durations(problems, promise, told):
    (line,) = problems(f"""
        models: [{{name: small, endpoint: "http://127.0.0.1:8000/v1"}}]
        slas: [{{name: gold, floor: 0.9, {promise}}}]
    """)
    assert told in line


def test_a_policy_that_needs_hindsight_is_refused(wrong):
    assert wrong("policy: oracle").startswith("policy.name is 'oracle': choose one of mess_plus")


def test_a_policy_is_a_name_or_has_options(more):
    assert more("policy: cheapest").policy.build().name == "cheapest"
    assert more("policy: {name: sla_router, options: {v: 7}}").policy.build().v == 7


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("sqlite:///a.db", "sqlite:///{folder}/a.db"),
        ("sqlite:////var/a.db", "sqlite:////var/a.db"),
        ("postgres://me:pw@db/logs", "postgresql+psycopg://me:pw@db/logs"),
    ],
)
def test_a_store_is_beside_the_file_or_a_database(more, tmp_path, url, stored):
    assert more(f"store: {{url: '{url}'}}").store.url.get_secret_value() == stored.format(
        folder=tmp_path
    )


def test_the_default_store_is_beside_the_file(more, tmp_path):
    url = more("").store.url
    assert url.get_secret_value() == f"sqlite:///{tmp_path}/floorline.db"


@pytest.mark.parametrize(("written", "seconds"), [("7d", 7 * 86_400.0), ("null", None), ("", None)])
def test_events_are_kept_for_ever_if_the_retention_is_null(more, written, seconds):
    assert more("").store.retention == 90 * 86_400.0
    assert more(f"store: {{retention: {written}}}").store.retention == seconds


def test_paths_of_encoders_are_beside_the_file(more, tmp_path):
    assert more("encoder: lsa:lsa.safetensors").encoder == f"lsa:{tmp_path}/lsa.safetensors"
    assert more("encoder: hashed:sparse").encoder == "hashed:sparse"


def test_the_default_policy_is_that_of_the_library():
    assert inspect.signature(Router).parameters["policy"].default == DEFAULT_POLICY


# The history.


def test_a_history_is_a_file_beside_the_configuration_or_the_log(more, tmp_path):
    (tmp_path / "past.parquet").write_bytes(b"")
    assert more("history: past.parquet").history == str(tmp_path / "past.parquet")
    assert more("history: log").history == "log"
    assert more("").history is None


def test_a_history_that_is_not_there_is_refused(more):
    with pytest.raises(ConfigError, match=r"history is 'none\.csv': give the path of a file that"):
        more("history: none.csv")


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("Postgres://me:pw@h/db\n", "postgresql+psycopg://me:pw@h/db"),
        (" postgresql://h/db ", "postgresql+psycopg://h/db"),
        ("postgresql+psycopg://h/db", "postgresql+psycopg://h/db"),
    ],
)
def test_the_url_of_a_store_has_one_reader_for_the_file_and_the_engine(more, written, read_as):
    assert more("store: {url: '${URL}'}", URL=written).store.url.get_secret_value() == read_as
    assert normal_url(written) == read_as


def test_a_model_of_an_sla_that_resembles_a_known_one_is_guessed(problems):
    (line,) = problems("""\
        models: [{name: small, endpoint: "http://h/v1"}]
        slas: [{name: gold, floor: 0.9, models: [smal]}]
    """)
    assert line.endswith("is 'smal': did you mean 'small'? name one of the models: small")


@pytest.mark.parametrize("url", ["SQLite:///{}/a.db", " sqlite:///{}/a.db\n"])
def test_the_engine_opens_the_url_as_it_is_written(tmp_path, url):
    engine = open_engine(url.format(tmp_path))
    assert engine.url.database == str(tmp_path / "a.db")
    engine.dispose()


def test_names_that_differ_in_space_around_them_only_are_the_same(problems, read):
    text = """
        models: [{name: small, endpoint: "http://h/v1"}]
        slas: [{name: gold, floor: 0.9, models: [" small "]}, {name: "gold ", floor: 0.5}]
    """
    (line,) = problems(text)
    assert line.endswith("slas[1].name is 'gold': give another name: slas[0] has this one")
    assert read(text.replace('"gold "', "silver")).slas[0].models == ["small"]
