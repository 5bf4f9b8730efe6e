import textwrap

import pytest

from floorline.config import load_text
from floorline.errors import ConfigError

LEAST = """
models:
  - {name: small, endpoint: "http://127.0.0.1:8000/v1"}
  - {name: large, endpoint: "http://127.0.0.1:8000/v1"}
slas:
  - {name: gold, floor: 0.9}
"""


@pytest.fixture
def read(tmp_path):
    """Read a text as a configuration file in ``tmp_path``."""

    def read(text, **environ):
        return load_text(textwrap.dedent(text), folder=tmp_path, environ=environ)

    return read


@pytest.fixture
def problems(read):
    """Lines that say what is wrong with a text."""

    def problems(text, **environ):
        with pytest.raises(ConfigError) as error:
            read(text, **environ)
        for line in error.value.problems:
            assert "\n" not in line
        return list(error.value.problems)

    return problems


@pytest.fixture
def more(read):
    """Read the least configuration with more lines after it."""

    def more(text, **environ):
        return read(LEAST + textwrap.dedent(text), **environ)

    return more


@pytest.fixture
def wrong(problems):
    """The one problem of the least configuration with more lines after it, without its place."""

    def wrong(text, **environ):
        (line,) = problems(LEAST + textwrap.dedent(text), **environ)
        _, _, message = line.split(":", 2)
        return message.strip()

    return wrong
