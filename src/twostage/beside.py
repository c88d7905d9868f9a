"""Tables and texts of ours that are data and no code: each stands beside the module that reads it, under its name."""

from pathlib import Path
from typing import Any

import yaml

#: Endings of files of data.
ENDINGS = {".R", ".css", ".csv", ".md", ".yml"}


#: PyYAML's parser in C where it was built with one: it reads the same, ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def text_beside(module: str, ending: str) -> str:
    """The text beside a module: of ``skeleton.py`` and ``.md`` that of ``skeleton.md``.

    Parameters
    ----------
    module : str
        Its ``__file__``.
    ending : str
        Of the text's file.
    """
    return Path(module).with_suffix(ending).read_text(encoding="utf-8")


def table_beside(module: str) -> Any:
    """What the YAML file beside a module says: of ``words.py`` the content of ``words.yml``.

    Parameters
    ----------
    module : str
        Its ``__file__``.
    """
    return yaml.load(text_beside(module, ".yml"), Loader=_LOADER)


def files_beside(module: Path) -> list[Path]:
    """The files of data beside a module, sorted: what changes with them changes what the module computes."""
    return sorted(path for path in module.parent.glob(f"{module.stem}.*") if path.suffix in ENDINGS)
