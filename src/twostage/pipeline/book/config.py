"""The settings of one run's book: the project's ``_config.yml`` and what only the run knows."""

import shutil
from collections.abc import Mapping
from importlib.metadata import files
from pathlib import Path
from typing import Any

import yaml

from twostage.pipeline.book.launch import Launch, take_launch
from twostage.pipeline.book.links import STUDIES
from twostage.pipeline.book.text import SETTING, kept_texts
from twostage.pipeline.errors import PipelineError
from twostage.text import rich_html, strict_yaml

#: Of the assets, what says in which order a search shows pages.
SCORER = "search_scorer.js"


#: The package that carries MathJax, and the file of it that needs no other.
MATHJAX_PACKAGE = "sphinx-mathjax-offline"


MATHJAX_FILE = "static/mathjax/tex-svg-full.js"


def write_config(
    template: Path,
    target: Path,
    *,
    title: str,
    note: str,
    author: str,
    texts: list[str],
    assets: Path,
    beside: list[Path] | None = None,
    studies: Mapping[str, str] | None = None,
) -> Launch:
    """Write a run's ``_config.yml`` and return where its notebooks' templates can be opened.

    Parameters
    ----------
    template : Path
        The project's ``_config.yml``, the one place to edit.
    target : Path
        The file to write.
    title, note, author : str
        The book's title, the sentence at the top of each page that says what the data are, and who signs it.
    texts : list of str
        What pages show of the collection, as it is: see :mod:`twostage.pipeline.book.text`.
    assets : Path
        Folder whose content the pages load: see :func:`copy_assets`.
    beside : list of Path, optional
        Folders whose content is to lie beside the pages.
    studies : mapping, optional
        Id -> label of each study that has a chapter.

    Raises
    ------
    PipelineError
        If the template is not what Jupyter Book expects.
    """
    config = read_yaml(template)
    launch = take_launch(config)
    config |= {"title": title, "author": author}
    sphinx = config.setdefault("sphinx", {}).setdefault("config", {})
    # The theme takes a text that begins with http for the address of one.
    # Sphinx' theme options replace those that Jupyter Book makes from its own `html` block.
    sphinx.setdefault("html_theme_options", {})["announcement"] = f"<span>{rich_html(note)}</span>"
    sphinx[SETTING], sphinx[STUDIES] = kept_texts(texts), dict(studies or {})
    sphinx["html_static_path"] = [*sphinx.get("html_static_path", []), str(assets)]
    sphinx["html_extra_path"] = [*sphinx.get("html_extra_path", []), *map(str, beside or [])]
    styles = sorted(path.name for path in assets.glob("*.css"))
    sphinx["html_css_files"] = [*sphinx.get("html_css_files", []), *styles]
    if (assets / SCORER).is_file():
        sphinx["html_search_scorer"] = str(assets / SCORER)
    target.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return launch


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises
    ------
    PipelineError
        If it does not.
    """
    try:
        content = strict_yaml.read_yaml(path, path.name)
    except (OSError, strict_yaml.YamlError) as error:
        raise PipelineError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise PipelineError(f"{path}: expected names and values, found {content!r}")
    return content


def copy_assets(assets: Path, target: Path) -> None:
    """Put what the pages load into one folder: the project's style sheets, and MathJax.

    Parameters
    ----------
    assets : Path
        Folder of the project's own files; it need not exist.
    target : Path
        The folder to make.
    """
    target.mkdir(parents=True)
    if assets.is_dir():
        # Modules are no use to a page that is opened from a folder; scripts.py makes one script of them.
        shutil.copytree(assets, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.mjs"))
    (target / "mathjax").mkdir()
    shutil.copy(mathjax(), target / "mathjax")


def mathjax() -> Path:
    """MathJax's single file with all of TeX, from the installed package.

    Raises
    ------
    PipelineError
        If the package has no such file.
    """
    for file in files(MATHJAX_PACKAGE) or ():
        if file.as_posix().endswith(MATHJAX_FILE):
            return Path(file.locate())
    raise PipelineError(f"the package {MATHJAX_PACKAGE} has no {MATHJAX_FILE}")
