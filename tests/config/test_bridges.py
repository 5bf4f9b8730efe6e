"""Rules of the section for bridges."""

import pytest

SECRET = "0123456789abcdef"


def test_the_ways_to_give_a_secret(more, tmp_path):
    (tmp_path / "secret").write_text(f"{SECRET}3\n")
    bridges = more(
        f"""
        bridges:
          - {{name: a, secret: {SECRET}1}}
          - {{name: b, secret_env: HOOK}}
          - {{name: c, secret_file: secret, tenant: acme, scale: [1, 5]}}
        """,
        HOOK=f"{SECRET}2",
    )
    secrets = [bridge.signing_secret.get_secret_value() for bridge in bridges.bridges]
    assert secrets == [f"{SECRET}{number}" for number in (1, 2, 3)]
    assert bridges.key_files() == [tmp_path / "secret"]
    assert SECRET not in repr(bridges)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("name: a", "bridges[0].secret is missing: give one of: secret, secret_env, secret_file"),
        (f"name: a, secret: {SECRET}, secret_env: HOOK", "secret_env is given beside another one"),
        ("name: a, secret: short", "secret has fewer than 16 characters (its value is not shown)"),
        ("name: a/b, secret_env: HOOK", "bridges[0].name is 'a/b'"),
        ("name: a, secret_env: HOOK, scale: [5, 1]", "scale is [5, 1]: give the worst and the"),
        ("name: a, secret_env: HOOK, scale: [1]", "give the worst and the best rating"),
        ("name: a, secret_env: HOOK, labels: {good: 2}", "bridges[0].labels.good is 2"),
        ("name: a, secret_env: HOOK, kind: slack", "bridges[0].kind is 'slack'"),
    ],
)
def test_a_bridge_that_is_none(fields, told, wrong):
    message = wrong(f"bridges: [{{{fields}}}]", HOOK=SECRET)
    assert told in message
    assert "short" not in message


def test_two_bridges_of_one_name(wrong):
    one = f"{{name: a, secret: {SECRET}}}"
    assert "bridges[1].name is used twice" in wrong(f"bridges: [{one}, {one}]")
