from __future__ import annotations

import pytest

ODD_TEXTS = [
    "",
    " ",
    "\n",
    "\x00",
    "\ud800 lone \udfff",
    "\u202eright to left",
    "日本語のテスト",
    "שלום عربى ไทย",
    "İıſßẞ" * 50,
    "👩‍👩‍👧" * 400,
    "a" * 5000,
    "?" * 5000,
    "\x01\x7f\x85" * 900,
]


@pytest.fixture(params=ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def odd_text(request):
    """One text that encoders must survive."""
    return request.param


@pytest.fixture
def odd_texts():
    """All of them."""
    return list(ODD_TEXTS)
