"""Looks at the notebooks about to be committed, as they are staged; standard library only."""

import json
import subprocess
import sys


def git(*arguments: str) -> str:
    """What git answers."""
    return subprocess.run(
        ["git", *arguments], check=True, capture_output=True, text=True, encoding="utf-8"
    ).stdout


def is_clean(text: str) -> bool:
    """Whether no cell of a notebook has an output or an execution count."""
    cells = json.loads(text)["cells"]
    return not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


staged = git("diff", "--cached", "--name-only", "-z", "--diff-filter=d", "--", "*.ipynb").split("\0")
dirty = [name for name in staged if name and not is_clean(git("show", f":{name}"))]
for name in dirty:
    print(f"{name}: has outputs; remove them with: .venv/bin/nbstripout {name}", file=sys.stderr)
sys.exit(bool(dirty))
