"""Pages as PDF, for paper and for readers that want a document."""

from __future__ import annotations

from typing import Any

from floorline._extras import needs
from floorline.errors import FloorlineError


def pdf_of(page: str) -> bytes:
    """Print a page as PDF, with the tags that screen readers need (PDF/UA).

    Parameters
    ----------
    page
        A page that has all that it shows; nothing is fetched.

    Raises
    ------
    MissingExtra
        If WeasyPrint is not installed.
    FloorlineError
        If Pango, a library of the system that it calls, is not installed.
    """
    try:
        with needs("pdf", "a report as PDF"):
            from weasyprint import HTML
            from weasyprint.urls import URLFetcher
    except OSError as error:
        raise FloorlineError(
            "a report as PDF needs the system's library Pango: install it, on Debian and Ubuntu "
            "with 'apt-get install libpango-1.0-0 libpangoft2-1.0-0', or leave --pdf out"
        ) from error

    # Pictures are in the page; a name in it must not become a request.
    own = URLFetcher(allowed_protocols=["data"])
    document: Any = HTML(string=page, url_fetcher=own).write_pdf(pdf_variant="pdf/ua-1")
    return bytes(document)
