"""Files of data stand beside the modules that read them, and results know when they change."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import twostage
from twostage.beside import ENDINGS, files_beside, table_beside, text_beside
from twostage.pipeline.code import modules
from twostage.recovery.code import code_checksum

PACKAGE = Path(twostage.__file__).parent


def test_every_file_of_data_is_read_by_the_module_beside_it():
    systems = PACKAGE / "importing" / "systems"  # a folder of files, one for each system
    found = [path for path in PACKAGE.rglob("*") if path.suffix in ENDINGS and path.parent != systems]
    assert len(found) > 15
    for path in found:
        module = path.with_suffix(".py").read_text(encoding="utf-8").replace("'", '"')
        as_table = path.suffix == ".yml" and "table_beside(__file__)" in module
        assert as_table or f'text_beside(__file__, "{path.suffix}")' in module, path
    assert set(found) <= set(modules(results=False))


def test_a_module_finds_its_own_files(tmp_path):
    module = tmp_path / "words.py"
    for ending, text in (
        (".py", ""),
        (".yml", "a: [é, 1]\n"),
        (".md", "# ß\n"),
        (".pyc", "no"),
        ("s.yml", "no"),
    ):
        module.with_name(f"words{ending}").write_text(text, encoding="utf-8")
    assert table_beside(str(module)) == {"a": ["é", 1]}
    assert text_beside(str(module), ".md") == "# ß\n"
    assert [path.name for path in files_beside(module)] == ["words.md", "words.yml"]


def test_a_stored_result_is_out_of_date_when_data_beside_its_code_change(tmp_path, monkeypatch):
    # The module is the one that generates collections; its data are the values that it generates from.
    name = "twostage.simulation.model"
    before = code_checksum(name)
    for ending in (".py", ".yml"):
        shutil.copy(PACKAGE / "simulation" / f"model{ending}", tmp_path)
    spec = find_spec(name)
    monkeypatch.setattr(spec, "origin", str(tmp_path / "model.py"))
    monkeypatch.setattr(
        "twostage.recovery.code.find_spec",
        lambda module: spec if module == name else find_spec(module),
    )
    assert code_checksum(name) == before
    table = tmp_path / "model.yml"
    table.write_text(table.read_text(encoding="utf-8").replace("mean: 0.42", "mean: 0.43"), encoding="utf-8")
    assert code_checksum(name) != before
