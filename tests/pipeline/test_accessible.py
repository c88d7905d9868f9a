"""What axe-core, Deque's checker of accessibility, finds in pages of every kind, in light and dark.

It is no part of this project: `AXE_CORE` names its file `axe.min.js`, or `npm install axe-core` here puts it where node
finds it.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hostile import browser, has_browser

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]

#: What the theme, its extensions and libraries write, and no file of this project: the button for light and dark and folded
#: cells have a label that is not their text; Sphinx' list of works is one of no items; a formula of MathJax scrolls and has
#: no focus. Found as parts of where axe saw something.
OF_THE_THEME = (
    ".theme-switch-button",
    ".nav-link",
    "summary[aria-label",
    "parameters > details > summary",
    ".citation-list",
    "mjx-container",
)

SERIOUS = """const found = await axe.run(document, {resultTypes: ["violations"]});
return found.violations.filter((v) => ["serious", "critical"].includes(v.impact))
  .flatMap((v) => v.nodes.map((n) => [v.id, n.target.flat().join(" "), n.html.slice(0, 160)]));"""


def axe() -> Path | None:
    """The checker's file, where this machine has it."""
    if "AXE_CORE" in os.environ:
        return Path(os.environ["AXE_CORE"])
    if not shutil.which("node"):
        return None
    asked = ["node", "-p", "require.resolve('axe-core/axe.min.js')"]
    found = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def kinds(html: Path) -> list[Path]:
    """A page of every kind: all of the manuscript, and one of each notebook."""
    pages = [path for path in sorted(html.rglob("*.html")) if "_static" not in path.parts]
    return list(
        {path.name if len(path.relative_to(html).parts) > 1 else path: path for path in pages}.values()
    )


def serious(window, page: Path, script: str) -> list[tuple[str, str, str]]:
    """What is serious or critical on a page, of which rule and where."""
    window.open(page)
    return [tuple(found) for found in window.run(f"{script}\n{SERIOUS}")]


@pytest.mark.skipif(not has_browser(), reason="needs chromium and chromedriver")
def test_nothing_serious_is_of_this_project(finished_project, tmp_path):
    checker = axe()
    if checker is None:
        pytest.skip("needs axe-core: npm install axe-core, or AXE_CORE=path/to/axe.min.js")
    script, wrong = checker.read_text(encoding="utf-8"), {}
    html = finished_project / "runs" / "default" / "html"
    with browser(tmp_path / "profile", port=9561) as window:
        window.open(html / "index.html")
        for mode in ("light", "dark"):
            window.run(f"localStorage.setItem('mode', '{mode}'); localStorage.setItem('theme', '{mode}')")
            for page in kinds(html):
                ours = [
                    f for f in serious(window, page, script) if not any(part in f[1] for part in OF_THE_THEME)
                ]
                if ours:
                    wrong[mode, page.name] = ours
    assert wrong == {}
