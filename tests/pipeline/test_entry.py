"""What a user asks for becomes a run, or an error that says what was expected."""

import json
import re
import shutil
from pathlib import Path

import pytest

from twostage import project
from twostage.collection.collection import read_collection
from twostage.pipeline.book.rerun import run_command
from twostage.pipeline.entry import (
    Request,
    find_project,
    parse_assignments,
    plan_run,
    read_parameters,
    run_folder,
    run_name,
)
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.run import load_run
from twostage.problems import CollectionError, ParameterError

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("collection", "request_", "name"),
    [
        ("data", Request(), "default"),
        ("other", Request(), "other"),
        ("my other é", Request(params=Path(".p q.yml")), "my_other_-p_q"),
        ("data", Request(params=Path("short.yml")), "short"),
        ("other", Request(params=Path("short.yml")), "other-short"),
        ("data", Request(assignments=("level=0.9", "lag=2")), "lag-2-level-0.9"),
        ("data", Request(studies=("S03", "S01", "S03")), "only-S01-S03"),
        ("other", Request(Path("other"), Path("p.yml"), ("lag=2",), ("A",)), "other-p-lag-2-only-A"),
    ],
)
def test_run_is_named_after_what_differs(tmp_path, collection, request_, name):
    assert run_name(tmp_path, tmp_path / collection, request_) == name


def test_long_or_strange_requests_get_a_name_of_their_own(tmp_path):
    many = [Request(studies=tuple(f"S{i:03}" for i in range(n))) for n in (30, 31)]
    strange = [Request(assignments=(f"standardize=a/{end}",)) for end in "bc"]
    names = [run_name(tmp_path, tmp_path / "data", r) for r in (*many, *strange)]
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"(only-)?\d+-(studies|parameters)-[0-9a-f]{8}", name) for name in names)


def test_default_run_is_never_meant_by_accident(tmp_path):
    meant = ((tmp_path / "default", Request()), (tmp_path / "data", Request(params=Path("default.yml"))))
    for collection, request in meant:
        with pytest.raises(PipelineError, match="name this run"):
            run_name(tmp_path, collection, request)


def test_another_collection_of_the_same_name_takes_no_run_s_place(tmp_path):
    collections = [tmp_path / parent / "games" for parent in ("one", "two")]
    folder = tmp_path / "runs" / "games"
    folder.mkdir(parents=True)
    about = {"project": "..", "collection": str(collections[0]), "parameters": {}, "studies": []}
    (folder / "run.json").write_text(json.dumps(about))
    assert run_folder(tmp_path, collections[0], Request()) == folder
    for request in (Request(), Request(name="games")):
        with pytest.raises(PipelineError, match="another name"):
            run_folder(tmp_path, collections[1], request)
    assert run_folder(tmp_path, collections[1], Request(name="two")) == tmp_path / "runs" / "two"


def test_project_is_found_from_below_then_by_the_package(tmp_path, monkeypatch):
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    (tmp_path / "_config.yml").touch()
    assert find_project(tmp_path / "notebooks" / "deep") == tmp_path
    (tmp_path / "_config.yml").unlink()
    assert find_project(tmp_path / "notebooks" / "deep") == REPOSITORY
    monkeypatch.setattr(project, "package_project", lambda: None)
    with pytest.raises(PipelineError, match=r"_config\.yml and notebooks; go to that folder"):
        find_project(tmp_path / "notebooks" / "deep")


def test_a_project_can_be_named_and_must_be_one(finished_project, tmp_path):
    assert find_project(tmp_path, finished_project) == finished_project
    request = Request(Path("data"), project=tmp_path)
    with pytest.raises(PipelineError, match=r"--project .*: expected the project's folder"):
        plan_run(tmp_path, request)
    (tmp_path / "here").mkdir()
    run = plan_run(tmp_path / "here", Request(name="named", project=finished_project)).run
    assert (run.project, run.folder) == (finished_project, finished_project / "runs" / "named")


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", "7", "1: 2\n"])
def test_parameter_file_must_be_a_mapping(tmp_path, text):
    (tmp_path / "p.yml").write_text(text)
    with pytest.raises(ParameterError, match="last_session: 5"):
        read_parameters(tmp_path / "p.yml")


def test_missing_parameter_file_is_named(tmp_path):
    with pytest.raises(
        ParameterError, match=r"none\.yml: found 'No such file or directory'; expected a file"
    ):
        read_parameters(tmp_path / "none.yml")


def test_empty_parameter_file_changes_nothing(tmp_path):
    (tmp_path / "p.yml").write_text("# nothing\n")
    assert read_parameters(tmp_path / "p.yml") == {}


def test_run_cannot_leave_its_folder():
    for name in ("../elsewhere", "a/b", ".hidden"):
        with pytest.raises(PipelineError, match="expected letters"):
            plan_run(REPOSITORY, Request(name=name))


def test_parameters_override_the_collections_defaults(finished_project, tmp_path):
    (tmp_path / "p.yml").write_text("last_session: 5\n")
    plan = plan_run(finished_project, Request(params=tmp_path / "p.yml", out=tmp_path / "short"))
    run = plan.run
    assert run.parameters["last_session"] == 5
    assert run.parameters["tau2_method"] == "REML"
    assert not run.folder.exists()
    plan.write()
    assert load_run(run.folder) == run


def test_assignments_are_typed_as_yaml_and_override_the_file(finished_project, tmp_path):
    (tmp_path / "p.yml").write_text("last_session: 5\nlevel: 0.9\n")
    given = ("last_session=4", "random_slopes=true", "standardize=none")
    run = plan_run(finished_project, Request(None, tmp_path / "p.yml", given, (), "typed")).run
    chosen = [run.parameters[n] for n in ("last_session", "level", "random_slopes", "standardize")]
    assert chosen == [4, 0.9, True, "none"]


@pytest.mark.parametrize("text", ["lag", "=2", "lag=[1", "lag=[1, 2]", "lag={a: 1}"])
def test_assignment_without_name_or_plain_value_is_an_error(text):
    with pytest.raises(ParameterError, match="last_session=5") as caught:
        parse_assignments([text])
    assert [p.file for p in caught.value.problems] == ["-p"]


def test_assignment_given_twice_or_impossible_is_an_error(finished_project):
    with pytest.raises(ParameterError, match="each parameter once"):
        parse_assignments(["lag=1", "lag=2"])
    with pytest.raises(ParameterError, match="did you mean 'lag'"):
        plan_run(finished_project, Request(assignments=("lagg=1",)))
    with pytest.raises(ParameterError, match="whole number, 1 to 100"):
        plan_run(finished_project, Request(assignments=("lag=two",)))
    assert [path.name for path in (finished_project / "runs").iterdir() if "lag" in path.name] == []


def test_run_of_some_studies_sees_only_these(finished_project, tmp_path):
    plan = plan_run(finished_project, Request(studies=("S02",), out=tmp_path / "run"))
    run = plan.run
    plan.write()
    assert run.studies == ("S02",)
    part = read_collection(run.collection)
    assert list(part.studies["study"]) == ["S02"]
    assert part.note.endswith("Only 1 of 2 studies: S02.")
    assert part.study("S02").checksum == read_collection(finished_project / "data").study("S02").checksum
    assert load_run(run.folder) == run
    with pytest.raises(CollectionError, match="did you mean 'S02'"):
        plan_run(finished_project, Request(studies=("S2",), out=tmp_path / "never"))
    assert not (tmp_path / "never").exists()


def test_a_run_takes_no_folder_that_holds_something_else(finished_project, tmp_path):
    (tmp_path / "notebooks").mkdir()
    for taken in (tmp_path, finished_project, finished_project / "data"):
        with pytest.raises(PipelineError, match="new or empty folder"):
            plan_run(finished_project, Request(out=taken))
    with pytest.raises(PipelineError, match="expected one of them"):
        plan_run(finished_project, Request(name="a", out=tmp_path / "a"))


def test_without_a_checkout_the_files_of_the_wheel_are_used_and_runs_are_made_here(
    finished_project, tmp_path, monkeypatch
):
    monkeypatch.setattr(project, "SHIPPED", finished_project)
    here = tmp_path / "here"
    here.mkdir()
    run = plan_run(here, Request()).run
    assert (run.folder, run.project) == (here / "runs" / "default", here)
    assert run.collection == finished_project / "data"
    assert run.template("stage1_lagged").is_relative_to(finished_project)
    assert run.tutorials
    assert run_command(run, read_collection(run.collection).defaults) == "twostage run"
    shutil.copytree(finished_project / "data", here / "data")
    assert plan_run(here, Request()).run.collection == here / "data"
    assert find_project(finished_project / "notebooks") == finished_project
    assert project.package_project() is None


def test_a_checkout_does_not_use_the_files_of_a_wheel(finished_project, monkeypatch):
    monkeypatch.setattr(project, "SHIPPED", REPOSITORY)
    run = plan_run(finished_project, Request()).run
    assert (run.project, run.sources) == (finished_project, None)
    assert run.collection == finished_project / "data"


#: What a stranger's ``run.json`` may say, and what is said of it.
STRANGE = {
    "empty": ("", "it is no JSON"),
    "truncated": ('{"project": "..", "coll', "it is no JSON"),
    "deep": ("[" * 200_000, "it is no JSON"),
    "list": ("[1, 2]", "no 'project' and no 'collection' and no 'parameters' and no 'studies'"),
    "of others": (
        '{"name": "my run", "project": "x"}',
        "no 'collection' and no 'parameters' and no 'studies'",
    ),
    "of another type": (
        '{"project": "..", "collection": "data", "parameters": [], "studies": []}',
        "no 'parameters'",
    ),
}


@pytest.mark.parametrize(("text", "said"), STRANGE.values(), ids=STRANGE)
def test_a_file_called_run_json_makes_no_run(finished_project, tmp_path, text, said):
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "run.json").write_text(text)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(
        PipelineError, match="expected a new or empty folder, or that of an earlier run, but"
    ) as caught:
        plan_run(finished_project, Request(out=folder))
    assert said in str(caught.value)
    with pytest.raises(PipelineError) as caught:
        load_run(folder)
    assert said in str(caught.value)
    assert sorted(p.name for p in folder.iterdir()) == ["run.json", "thesis.txt"]


def test_a_damaged_run_says_its_file_and_the_cure(tmp_path):
    file = tmp_path / "runs" / "games" / "run.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    with pytest.raises(PipelineError) as caught:
        run_folder(tmp_path, tmp_path / "games", Request(name="games"))
    assert str(caught.value).startswith(
        f"{file}: it is no JSON; expected what 'twostage run' writes there; give"
    )
    assert str(caught.value).endswith("remove that file and give the command again")
    file.unlink()
    assert run_folder(tmp_path, tmp_path / "games", Request(name="games")) == file.parent


def test_the_run_of_an_earlier_version_is_one(finished_project, tmp_path):
    about = {"project": "..", "collection": "data", "parameters": {}, "studies": []}
    (tmp_path / "run.json").write_text(json.dumps(about))
    assert plan_run(finished_project, Request(out=tmp_path)).run.folder == tmp_path
    with pytest.raises(PipelineError, match="no 'has_outcome'"):
        load_run(tmp_path)


def test_a_run_that_was_ended_before_it_wrote_anything_can_be_taken_up(finished_project, tmp_path):
    (tmp_path / ".lock").touch()
    assert plan_run(finished_project, Request(out=tmp_path)).run.folder == tmp_path
