"""The arrows of the house point one way."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "twostage"

#: Layer of each module: it may import from its own layer's number or lower, never from a higher one.
LAYERS = {
    "stats": 0,
    "problems": 0,
    "project": 0,
    "characters": 0,
    "plain_text": 0,
    "escape": 0,
    "csv_text": 0,
    "display": 0,
    "files": 0,
    "terms": 0,
    "attempt": 1,
    "formulas": 0,
    "moderators": 1,
    "simulations": 1,
    "tabular": 1,
    "same_data": 1,
    "params": 1,
    "schema": 2,
    "collection_file": 2,
    "strict_yaml": 1,
    "study_ids": 0,
    "bounds": 0,
    "vocabulary": 2,
    "collection_part": 2,
    "shared_studies": 3,
    "registry": 3,
    "study_files": 3,
    "collection": 4,
    "skeleton": 5,
    "importing": 5,
    "panel": 5,
    "estimates": 6,
    "describe": 6,
    "records_covariance": 6,
    "simulate_model": 6,
    "simulate_files": 6,
    "simulate": 7,
    "examples": 8,
    "records": 7,
    "stage1": 8,
    "sensitivity": 9,
    "study_moderators": 8,
    "moderation": 9,
    "tables_moderation": 10,
    "plots_moderation": 11,
    "stage2": 8,
    "influence_tables": 9,
    "smallstudy_tables": 9,
    "plots_style": 9,
    "plots_forest": 10,
    "plots_bubble": 10,
    "estimator_batch": 9,
    "estimators": 10,
    "stage2_estimators": 9,
    "recovery": 10,
    "plots_estimators": 11,
    "tables_estimators": 11,
    "countries": 9,
    "country_tables": 10,
    "joint": 9,
    "joint_tables": 10,
    "plots": 10,
    "plots_influence": 11,
    "plots_smallstudy": 11,
    "plots_joint": 11,
    "plots_study": 11,
    "tables": 10,
    "heterogeneity_words": 10,
    "tables_study": 10,
    "attempt_pages": 11,
    "analysis": 10,
    "manuscript_estimators": 12,
    "manuscript": 12,
    "results": 11,
    "compare": 12,
    "plots_compare": 12,
    "compare_page": 12,
    "addition": 9,
    "addition_page": 11,
    "plots_addition": 11,
    "windows": 13,
    "printing": 0,
    "sharing": 11,
    "pipeline": 12,
    "cli_options": 12,
    "cli_edge": 12,
    "cli_run": 13,
    "cli_import": 13,
    "cli_compare": 13,
    "cli_share": 13,
    "cli_addition": 13,
    "cli_recovery": 13,
    "cli": 13,
    "tutorial": 14,
    "__main__": 14,
    "__init__": 0,
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_name(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("twostage.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_modules_import_only_from_their_layer_or_below(path):
    own = LAYERS[layer_name(path)]
    too_high = {name for name in ours(imports(path)) if LAYERS[name] > own}
    assert not too_high, f"{path.name} (layer {own}) imports {too_high}"


def test_every_module_has_a_layer():
    assert {layer_name(path) for path in MODULES} <= set(LAYERS)


@pytest.mark.parametrize("path", sorted((PACKAGE / "stats").glob("*.py")), ids=lambda p: p.name)
def test_the_numeric_core_needs_numpy_and_scipy_only(path):
    tops = {name.split(".")[0] for name in imports(path, top_level_only=True)}
    allowed = {"numpy", "scipy", "twostage"} | set(sys.stdlib_module_names)
    assert tops <= allowed, tops - allowed
    assert ours(imports(path)) <= {"stats"}


def test_stages_know_nothing_of_each_other():
    assert "stage2" not in ours(imports(PACKAGE / "stage1.py"))
    assert not {"stage1", "sensitivity", "panel", "collection"} & ours(imports(PACKAGE / "stage2.py"))


def test_fitting_touches_no_disk():
    for name in ("panel.py", "estimates.py", "stage1.py", "sensitivity.py", "describe.py"):
        text = (PACKAGE / name).read_text(encoding="utf-8")
        assert not any(word in text for word in ("open(", "read_csv", "to_csv", "Path(", "write_text")), name


def test_modules_stay_small():
    long = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in MODULES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 350
    }
    assert not long
