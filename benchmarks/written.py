"""The part of a page that a benchmark writes: between two comments that name the benchmark."""

END = "<!-- end of what it wrote -->"


def write(page, benchmark, text):
    """Replace what ``benchmark`` wrote into the file ``page``.

    Raises
    ------
    SystemExit
        If the page has no such part.
    """
    begin = f"<!-- written by benchmarks/{benchmark} -->"
    before, mark, rest = page.read_text(encoding="utf-8").partition(begin)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit(f"{page} has no part that begins with {begin}")
    new = f"{before}{mark}\n\n{text.strip()}\n\n{end}{after}"
    page.write_text(new, encoding="utf-8")
