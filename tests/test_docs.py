"""The page on the architecture names the folders that are there, all of them, and files that exist."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
LINE = re.compile(r"^    ( *)([\w./]+)/ ", re.MULTILINE)


def tree() -> list[str]:
    """The folders of the page's tree, from the top of the repository."""
    above, found = {}, []
    for indent, name in LINE.findall(PAGE.replace("src/twostage/\n", "src/twostage/ \n")):
        above = {depth: folder for depth, folder in above.items() if depth < len(indent)}
        above[len(indent)] = name
        found.append("/".join(above[depth] for depth in sorted(above)))
    return found


def test_every_folder_of_the_tree_is_there():
    assert len(tree()) == len(set(tree())) > 30
    assert [folder for folder in tree() if not (REPOSITORY / folder).is_dir()] == []


def test_every_folder_of_the_package_is_in_the_tree():
    package = REPOSITORY / "src" / "twostage"
    folders = {path.parent.relative_to(REPOSITORY).as_posix() for path in package.rglob("__init__.py")}
    # A page is added without a line there: its folder has its word.
    assert {f for f in folders - set(tree()) if not f.startswith("src/twostage/pages/")} == set()


def test_every_file_beside_the_folders_is_named():
    files = {path.stem for path in (REPOSITORY / "src" / "twostage").glob("[a-z]*.py")}
    assert {name for name in files if f"`{name}`" not in PAGE} == set()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md", "docs/architecture.md", "SECURITY.md"])
def test_links_to_files_and_files_in_backticks_are_there(name):
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    folder = (REPOSITORY / name).parent
    links = [target for target in re.findall(r"\]\(([^)#:]+)\)", text)]
    assert [link for link in links if not (folder / link).exists()] == []
    named = re.findall(r"`((?:tests|src|data|book|docs|\.ci|\.github)/[\w./-]*)`", text)
    assert [path for path in named if not (REPOSITORY / path).exists()] == []
