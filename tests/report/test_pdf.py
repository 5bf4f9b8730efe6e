"""Reports as PDF: real documents, made of the page alone."""

import base64
import re
import sys
import zlib

import pytest

from floorline.cli.app import main
from floorline.errors import FloorlineError, MissingExtra
from floorline.report.pdf import pdf_of

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


def objects(document):
    """The parts of a PDF, unpacked."""
    packed = re.findall(rb"stream\r?\n(.*?)endstream", document, re.DOTALL)
    parts = [document]
    for part in packed:
        unpacked = zlib.decompressobj()
        try:
            parts.append(unpacked.decompress(part))
        except zlib.error:
            parts.append(part)
    return b"\n".join(parts)


@pytest.fixture(autouse=True)
def printer():
    pytest.importorskip("weasyprint")


def test_a_page_becomes_a_document_with_tags_and_a_title():
    page = (
        "<html lang=en><title>SLA report</title><h1>Kept</h1><p>one<p style='break-before:page'>two"
    )
    found = objects(pdf_of(page))
    assert len(re.findall(rb"/Type\s*/Page\b", found)) == 2
    assert b"SLA report" in found
    # What screen readers need: the language and the structure.
    assert re.search(rb"/Lang\s*\(en\)", found)
    assert b"/StructTreeRoot" in found


def test_nothing_is_fetched_but_what_the_page_holds(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(base64.b64decode(PNG))
    own = f"<img alt=x src='data:image/png;base64,{PNG}'>"
    with_picture, other = pdf_of(own), pdf_of(f"<img alt=x src='{secret.as_uri()}'>")
    assert b"/XObject" in objects(with_picture)
    assert re.search(rb"/Subtype\s*/Image", objects(with_picture))
    assert not re.search(rb"/Subtype\s*/Image", objects(other))


def test_without_the_extra_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(MissingExtra, match=r"extra 'pdf': pip install 'floorline\[pdf\]'"):
        pdf_of("<p>x</p>")


def test_without_the_systems_library_one_line_says_so(monkeypatch):
    class Broken:
        def find_spec(self, name, path, target=None):
            if name == "weasyprint":
                raise OSError("cannot load library 'libgobject-2.0-0'")

    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(FloorlineError, match="needs the system's library Pango: install it"):
        pdf_of("<p>x</p>")


@pytest.mark.slow
def test_every_report_can_be_a_pdf(build_router, vector, tmp_path, capfd):
    from floorline.stores.sql import SqlStore

    router = build_router()
    router.log = store = SqlStore(f"sqlite:///{tmp_path}/log.db")
    for number in range(60):
        made = router.route(features=vector(number), at=1e9 + number)
        router.feedback(made.id, satisfied=True, at=1e9 + number)
    store.close()
    log = ["--log", str(tmp_path / "log.db"), "--out", str(tmp_path), "--pdf"]
    assert main(["report", "sla", *log, "--since", "2001-09-09", "--until", "2001-09-10"]) == 0
    assert main(["report", "certificate", *log]) in (0, 1)
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "x.png").write_bytes(base64.b64decode(PNG))
    (tmp_path / "report.md").write_text("# Runs\n\n## One\n\n![x](plots/x.png)\n")
    assert main(["report", "run", str(tmp_path), "--pdf"]) == 0
    told = capfd.readouterr()
    assert told.err == ""
    for name in ("sla-report.pdf", "certificate.pdf", "report.pdf"):
        assert f"wrote {tmp_path / name}" in told.out
        assert (tmp_path / name).read_bytes().startswith(b"%PDF-")
