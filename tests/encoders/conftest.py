from __future__ import annotations

import pytest

UNUSUAL_TEXTS = [
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


@pytest.fixture(params=UNUSUAL_TEXTS, ids=range(len(UNUSUAL_TEXTS)))
def unusual_text(request):
    """One text of unusual characters or length, which every encoder must encode."""
    return request.param


@pytest.fixture
def unusual_texts():
    """All unusual texts."""
    return list(UNUSUAL_TEXTS)
