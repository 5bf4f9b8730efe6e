import pytest

from floorline.cli.app import main


@pytest.fixture
def keys(tmp_path, capfd):
    """Run ``floorline keys`` on a store of its own; returns exit code and output."""
    store = ["--store", f"sqlite:///{tmp_path / 'keys.db'}"]
    assert main(["store", "migrate", *store]) == 0
    capfd.readouterr()

    def run(*arguments):
        code = main(["keys", *arguments, *store])
        return code, capfd.readouterr()

    return run


def test_keys_are_made_listed_and_revoked(keys):
    code, made = keys("create", "app", "--scope", "chat", "--rate", "60", "--sla", "gold")
    assert code == 0
    secret = made.out.strip()
    assert len(secret) > 20
    id = made.err.split("Created key ")[1].split()[0]
    _, listed = keys("list")
    assert id in listed.out
    assert "60/min" in listed.out
    assert secret not in listed.out
    assert f"Revoked key {id}." in keys("revoke", id)[1].out
    assert "revoked already" in keys("revoke", id)[1].out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["create", "app", "--scope", "root"], "scope"),
        (["create", "app", "--budget", "5", "--period", "soon"], "period"),
        (["revoke", "nothing"], "nothing"),
    ],
)
def test_errors_are_one_line(keys, arguments, word):
    code, told = keys(*arguments)
    assert code == 2
    assert len(told.err.splitlines()) == 1
    assert word in told.err


def test_what_a_key_may_name_is_given_and_listed(keys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    keys("create", "one", "--model", "small", "--model", "large", "--feedback-rate", "60")
    keys("create", "two", "--sla", "gold")
    keys("create", "three")
    rows = [line.split("│") for line in keys("list")[1].out.splitlines() if "│" in line]
    cells = {row[2].strip(): [cell.strip() for cell in row[5:8]] for row in rows}
    assert cells == {
        "one": ["all", "small, large", "60 feedback/min"],
        "two": ["gold", "none", "-"],
        "three": ["all", "all", "-"],
    }
