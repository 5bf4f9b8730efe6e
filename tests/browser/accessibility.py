"""axe-core, run in a page."""

from pathlib import Path

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
"""Tags of the rules that hold: WCAG 2.1, levels A and AA, and what axe advises beside them."""


def violations(page):
    """What axe finds in a page: rule, help and the first elements of each violation."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}, "
        "resultTypes: ['violations']}).then((result) => result.violations)",
        RULES,
    )
    return [
        f"{one['id']}: {one['help']}: "
        + "; ".join(f"{node['html'][:160]} ({node['failureSummary']})" for node in one["nodes"][:4])
        for one in found
    ]
