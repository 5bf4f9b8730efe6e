"""No command and no learner waits for ever for a PostgreSQL that does not answer."""

import socket

import pytest
import sqlalchemy as sa
from tests.support.tcp_proxy import behind_proxy

from floorline.cli.app import main
from floorline.errors import StoreUnavailable
from floorline.stores import time_limit
from floorline.stores.engine import may_pass, open_engine, store_errors


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(time_limit, "_CONNECT_SECONDS", 2)
    monkeypatch.setattr(time_limit, "_ANSWER_SECONDS", 0.1)


def failure(engine, statement="SELECT 1"):
    """Error of a statement; None if it succeeds."""
    try:
        with store_errors(engine), engine.connect() as connection:
            connection.exec_driver_sql(statement)
    except StoreUnavailable as error:
        return error
    finally:
        engine.dispose()
    return None


@pytest.mark.parametrize(
    "command",
    [["store", "verify"], ["store", "migrate", "--store"], ["keys", "list", "--store"]],
)
def test_a_command_gives_up_a_server_that_accepts_and_never_answers(command, short, capsys):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/db"
        assert main([*command, url]) == 2
    assert "timeout" in capsys.readouterr().err


def test_a_connection_that_falls_silent_is_given_up(empty_postgres, short):
    proxy, url = behind_proxy(empty_postgres)
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            assert connection.scalar(sa.select(sa.literal(1))) == 1
            proxy.stalls = True
            with pytest.raises(sa.exc.OperationalError, match=r"no answer within 0\.1 s"):
                connection.scalar(sa.select(sa.literal(1)))
            proxy.mend()
    finally:
        engine.dispose()
        proxy.close()


def test_a_statement_may_take_long_while_the_server_answers(empty_postgres, short):
    assert failure(open_engine(empty_postgres), "SELECT pg_sleep(1.0)") is None


def test_a_limit_of_its_own_holds_for_slow_statements_too(empty_postgres):
    error = failure(open_engine(empty_postgres, seconds=0.2), "SELECT pg_sleep(60)")
    assert "no answer within 0.2 s" in str(error)
    assert may_pass(error)


def test_it_is_told_which_errors_may_pass(empty_postgres):
    there = sa.make_url(empty_postgres)
    absent = there.set(database="absent").render_as_string(hide_password=False)
    unknown = there.set(username="unknown").render_as_string(hide_password=False)
    for url, told in ((absent, 'database "absent" does not exist'), (unknown, "unknown")):
        error = failure(open_engine(url))
        assert told in str(error)
        assert not may_pass(error)
    proxy, url = behind_proxy(empty_postgres)
    proxy.close()
    assert may_pass(failure(open_engine(url)))
    denied = failure(open_engine(empty_postgres), "SELECT * FROM pg_authid_is_not_there")
    assert not may_pass(denied)
