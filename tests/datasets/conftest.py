import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data():
    """The folder of real routing data; tests that need it skip where it is not."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("FLOORLINE_DATA") or beside)
    if not (folder / "routerbench").is_dir():
        pytest.skip("needs real routing data: set FLOORLINE_DATA to its folder")
    return folder
