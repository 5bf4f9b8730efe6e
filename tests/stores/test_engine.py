import pytest

from floorline.errors import FloorlineError
from floorline.stores.engine import open_engine, url_without_password

SECRET = "hunter2-secret"


@pytest.mark.parametrize(
    "url",
    [
        f"postgres//me:{SECRET}@host/db",
        f"postgresql://me:{SECRET}@host:port/db",
        f"mysql://me:{SECRET}@host/db",
        f"mysql://host/db?password={SECRET}",
        f"me:{SECRET}@host",
    ],
)
def test_a_refused_url_does_not_show_its_password(url):
    with pytest.raises(FloorlineError) as caught:
        open_engine(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", [f"postgresql://me:{SECRET}@host/db", f"postgresql://host/db?password={SECRET}"]
)
def test_the_shown_url_has_no_password(url):
    assert SECRET not in url_without_password(open_engine(url).url)


def test_what_only_reads_says_that_a_file_in_a_missing_folder_is_missing(tmp_path):
    with pytest.raises(FloorlineError, match="no such file"):
        open_engine(f"sqlite:///{tmp_path}/missing/log.db", read_only=True)
    assert list(tmp_path.iterdir()) == []
