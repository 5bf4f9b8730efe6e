"""The example notebook runs from its first cell to its last, and shows what it says."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOKS = sorted((Path(__file__).parent.parent / "examples").glob("*.ipynb"))
_PATIENCE = 300
"""Most seconds that a cell may take on a machine that does other things too."""


def shown(cell):
    """Return what a cell shows, as HTML where it has some."""
    texts = []
    for output in cell.outputs:
        data = output.get("data", {})
        texts.append(data.get("text/html") or data.get("text/plain") or output.get("text", ""))
    return "\n".join(texts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 3
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_keep_a_floor(tmp_path):
    (path,) = [path for path in NOTEBOOKS if path.name == "keep_a_floor.ipynb"]
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=_PATIENCE,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    cells = {
        cell.source.splitlines()[-1]: shown(cell) for cell in notebook.cells if cell.get("outputs")
    }
    assert "<circle" in cells["table"]
    assert "sim-titan" in cells["table"]
    comparison = cells["comparison"]
    assert "replaying simulated: 24 replays in" in comparison
    assert comparison.count("<polyline") == 12
    for policy in ("primal_dual", "static_mix", "oracle"):
        assert f"<td>{policy}</td>" in comparison
    assert "shape: (12, 5)" in cells[")"]
    assert "<caption>Zoo of 3 models</caption>" in cells["router.zoo"]
    assert "<th>verdict</th><td>kept" in cells['router.certificate("gold")']
    assert "saved against the static mix" in cells['router.status("gold")']
    assert "propensity" in cells["decision"]
    explained = cells["router.explain(decision.id)"]
    assert "<th>summary</th><td>" in explained
    assert "serves at floor 0.8" in explained
