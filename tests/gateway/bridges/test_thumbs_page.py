"""The snippet for pages, run by Node with the little of a page that it needs."""

import shutil
import subprocess
from pathlib import Path

import pytest

SNIPPET = Path(__file__).parents[3] / "examples" / "thumbs.js"
PAGE = """
import { thumbs } from "./thumbs.mjs";
globalThis.document = {
  createElement: () => {
    const set = {};
    return {
      set,
      setAttribute: (name, value) => { set[name] = value; },
      addEventListener: (_, run) => { set.click = run; },
    };
  },
};
const buttons = [];
const [url, decision, wrong] = process.argv.slice(2);
thumbs({ append: (...given) => buttons.push(...given) }, decision, url);
await buttons[1].set.click();
console.log(buttons.map((button) => button.set["aria-pressed"]).join());
buttons.length = 0;
thumbs({ append: (...given) => buttons.push(...given) }, wrong, url);
await buttons[0].set.click();
console.log(buttons.map((button) => String(button.set["aria-pressed"])).join());
"""


def test_the_snippet_is_short():
    assert len(SNIPPET.read_text(encoding="utf-8").splitlines()) <= 30


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
def test_a_click_becomes_a_label(gateway, tmp_path):
    shutil.copy(SNIPPET, tmp_path / "thumbs.mjs")
    (tmp_path / "page.mjs").write_text(PAGE)
    decision = gateway.chat().headers["x-floorline-decision"]
    # Without keys the gateway takes what a backend would send on.
    command = ["node", "page.mjs", f"{gateway.url}/v1/feedback", decision, "unheard-of"]
    shown = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert shown.split() == ["false,true", "undefined,undefined"]
    status = gateway.http.get("/v1/slas/gold").json()
    assert (status["labels"], status["satisfaction"]) == (1, 0.0)
