"""The arrows of the house point one way."""

import ast
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "twostage"

#: The ground: files beside the folders, and the folder of texts. They may be imported from everywhere and
#: import only each other.
GROUND = (
    "beside",
    "characters",
    "problems",
    "text",
    "files",
    "terms",
    "words",
    "display",
    "printing",
    "project",
)

#: The floors, lowest first: a module imports from its own folder, lower ones and the ground.
FLOORS = (
    *("stats", "params", "notebooks", "collection", "simulation", "importing", "stage1", "records", "stage2"),
    *(
        "recovery",
        "multiverse",
        "sharing",
        "interchange",
        "pages",
        "frames",
        "plots",
        "pipeline",
        "export",
        "cli",
        "tutorial",
        "__main__",
    ),
)

#: Folders on different floors that still know nothing of each other: records join the stages.
STRANGERS = (("stage2", "stage1"), ("sharing", "recovery"), ("stage1", "importing"), ("stage1", "simulation"))

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent != PACKAGE or path.name != "__init__.py"
}


@cache  # each test asks for all modules, one of them for each face
def imports(path: Path) -> list[tuple[str, tuple[str, ...], bool]]:
    """Each import of a module: from where, which names, and whether it is carried out when the module is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        at_once = node in tree.body
        if isinstance(node, ast.Import):
            found += [(alias.name, (), at_once) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, tuple(alias.name for alias in node.names), at_once))
    return found


@cache
def ours(path: Path) -> list[tuple[str, tuple[str, ...], bool]]:
    """The same of this package only, without its name."""
    return [
        (module.removeprefix("twostage").removeprefix("."), names, at_once)
        for module, names, at_once in imports(path)
        if module.split(".")[0] == "twostage"
    ]


def rooms(path: Path) -> set[str]:
    """The folders, or files beside them, from which a module imports."""
    return {
        (f"{module}.{name}" if module else name).split(".")[0]
        for module, names, _ in ours(path)
        for name in names
    }


def test_arrows_point_down():
    wrong = []
    for name, path in MODULES.items():
        own = name.split(".")[0]
        lower = set() if own in GROUND else set(FLOORS[: FLOORS.index(own) + 1])
        wrong += [f"{name} imports {room}" for room in rooms(path) - lower - set(GROUND) - {own}]
    assert not wrong


def test_strangers_do_not_meet():
    wrong = [
        f"{name} imports {other}"
        for own, other in STRANGERS
        for name, path in MODULES.items()
        if name.split(".")[0] == own and other in rooms(path)
    ]
    assert not wrong


def test_no_circle():
    graph = {}
    for name, path in MODULES.items():
        graph[name] = {
            found
            for module, names, at_once in ours(path)
            if at_once
            for found in ({f"{module}.{n}" for n in names} & set(MODULES) or {module})
        } - {name}
    for folder in {name for name in MODULES if MODULES[name].name == "__init__.py"}:
        # What a folder's face gathers is imported by itself: the files behind it do not look at it.
        assert not [n for n in graph if n.startswith(f"{folder}.") and folder in graph[n]], folder
    TopologicalSorter(graph).prepare()


def test_the_numeric_core_needs_numpy_and_scipy_only():
    allowed = {"numpy", "scipy", "twostage"} | set(sys.stdlib_module_names)
    wrong = {
        f"{name}: {module}"
        for name, path in MODULES.items()
        if name.split(".")[0] == "stats"
        for module, _, at_once in imports(path)
        if at_once and module.split(".")[0] not in allowed
    }
    assert not wrong


def test_names_that_begin_with_an_underscore_stay_in_their_file():
    wrong = [
        f"{name}: {module}.{private}"
        for name, path in MODULES.items()
        for module, names, _ in ours(path)
        for private in names
        if private.startswith("_") and not private.startswith("__")
    ]
    assert not wrong


def test_nobody_imports_past_a_face():
    faces = {name for name, path in MODULES.items() if path.name == "__init__.py" and ours(path)}
    wrong = [
        f"{name}: {module}"
        for name, path in MODULES.items()
        for module, _, _ in ours(path)
        for face in faces
        if module.startswith(f"{face}.") and name != face and not name.startswith(f"{face}.")
    ]
    assert not wrong


def test_fitting_touches_no_disk():
    words = ("open(", "read_csv", "to_csv", "Path(", "write_text")
    wrong = [
        name
        for name, path in MODULES.items()
        if name.split(".")[0] in ("stats", "stage1")
        and any(word in path.read_text(encoding="utf-8") for word in words)
    ]
    assert not wrong


def test_no_face_has_a_name_of_a_file_behind_it_that_is_another_thing():
    wrong = [
        f"{face}: {name}"
        for face, path in MODULES.items()
        if path.name == "__init__.py"
        for module, names, _ in ours(path)
        for name in names
        if f"{face}.{name}" in MODULES and module != f"{face}.{name}"
    ]
    assert not wrong
