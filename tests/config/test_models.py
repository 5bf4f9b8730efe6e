"""The ``models`` and ``defaults`` sections."""

from floorline.zoo import Model


def test_defaults_hold_where_a_model_says_nothing(read):
    settings = read("""
        defaults:
          endpoint: http://127.0.0.1:8000/v1
          timeouts: {connect: 1s, total: 60s}
          headers: {X-Team: ours, X-Stage: test}
          retries: 5
          breaker: {window: 10s}
        models:
          - {name: small}
          - name: large
            endpoint: http://127.0.0.1:9000/v1
            timeouts: {total: 90s}
            headers: {X-Stage: live}
            breaker: {failures: 2}
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
    assert (large.breaker.failures, large.breaker.window_seconds) == (2, 10.0)
    headers = {name: value.get_secret_value() for name, value in large.headers.items()}
    assert headers == {"X-Team": "ours", "X-Stage": "live"}


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


def test_a_models_own_key_replaces_the_default_key(read):
    settings = read(
        """
        defaults: {endpoint: "http://h/v1", api_key_env: SHARED}
        models:
          - {name: a}
          - {name: b, api_key: mine}
          - {name: c, api_key: }
        slas: [{name: gold, floor: 0.9}]
        """,
        SHARED="ours",
    )
    keys = [model.key and model.key.get_secret_value() for model in settings.models]
    assert keys == ["ours", "mine", None]
