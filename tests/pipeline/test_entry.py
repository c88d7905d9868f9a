"""What a user asks for becomes a run, or an error that says what was expected."""

from pathlib import Path

import pytest

from twostage.params import ParameterError
from twostage.pipeline.entry import find_project, plan_run, read_parameters, run_name
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.inputs import package_checksum
from twostage.pipeline.run import declared_run, load_run

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("collection", "params", "name"),
    [
        ("data", None, "default"),
        ("other", None, "other"),
        ("data", "short.yml", "short"),
        ("other", "short.yml", "other-short"),
    ],
)
def test_run_is_named_after_what_differs(tmp_path, collection, params, name):
    assert run_name(tmp_path, tmp_path / collection, params and Path(params)) == name


def test_default_run_is_never_meant_by_accident(tmp_path):
    for collection, params in ((tmp_path / "default", None), (tmp_path / "data", Path("default.yml"))):
        with pytest.raises(PipelineError, match="name this run"):
            run_name(tmp_path, collection, params)


def test_project_is_found_from_below(tmp_path):
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    (tmp_path / "_config.yml").touch()
    assert find_project(tmp_path / "notebooks" / "deep") == tmp_path
    (tmp_path / "_config.yml").unlink()
    with pytest.raises(PipelineError, match=r"_config\.yml"):
        find_project(tmp_path / "notebooks" / "deep")


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", "7", "1: 2\n"])
def test_parameter_file_must_be_a_mapping(tmp_path, text):
    (tmp_path / "p.yml").write_text(text)
    with pytest.raises(ParameterError, match="last_session: 5"):
        read_parameters(tmp_path / "p.yml")


def test_missing_parameter_file_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r"none\.yml"):
        read_parameters(tmp_path / "none.yml")


def test_empty_parameter_file_changes_nothing(tmp_path):
    (tmp_path / "p.yml").write_text("# nothing\n")
    assert read_parameters(tmp_path / "p.yml") == {}


def test_run_cannot_leave_its_folder():
    for name in ("../elsewhere", "a/b", ".hidden"):
        with pytest.raises(PipelineError, match="expected letters"):
            plan_run(REPOSITORY, name=name)


def test_parameters_override_the_collections_defaults(finished_project, tmp_path):
    (tmp_path / "p.yml").write_text("last_session: 5\n")
    run = plan_run(finished_project, params=tmp_path / "p.yml", name="short")
    assert run.parameters["last_session"] == 5
    assert run.parameters["tau2_method"] == "REML"
    assert load_run(run.folder) == run


def test_nothing_is_declared_outside_a_run(monkeypatch):
    monkeypatch.delenv("TWOSTAGE_RUN_FOLDER", raising=False)
    assert declared_run() is None


def test_results_do_not_depend_on_the_command_line():
    assert package_checksum(("cli.py", "pipeline")) != package_checksum(())
    assert package_checksum(("cli.py", "pipeline")) == package_checksum(("cli.py", "pipeline"))
