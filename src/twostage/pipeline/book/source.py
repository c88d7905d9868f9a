"""Assembles the source of one run's book: manuscript, executed notebooks, figures, table of contents."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from twostage.collection import Collection, read_collection
from twostage.display import MISSING
from twostage.files import emptied, read_json, write_text
from twostage.notebooks import HOME, STAGE2
from twostage.pages.addition.analysis import read_estimates
from twostage.pages.multiverse.live import LIVE
from twostage.params import make_parameters
from twostage.pipeline.book.addition import study_section
from twostage.pipeline.book.api import write_api_pages
from twostage.pipeline.book.captions import Captions
from twostage.pipeline.book.card import write_card
from twostage.pipeline.book.chapters import Chapters, find_chapters
from twostage.pipeline.book.config import copy_assets, read_yaml, write_config
from twostage.pipeline.book.footer import FILE as FOOTER_FILE
from twostage.pipeline.book.history import history_context
from twostage.pipeline.book.imprint import make_imprint
from twostage.pipeline.book.launch import Launch
from twostage.pipeline.book.manuscript import book_context
from twostage.pipeline.book.pages import Pages, copy_notebook
from twostage.pipeline.book.rerun import rerun_section, run_command
from twostage.pipeline.book.scripts import MULTIVERSE, computation, write_scripts
from twostage.pipeline.book.software import offer, results_footer, software_context
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.results import results_of
from twostage.pipeline.run import Run
from twostage.pipeline.shared import SHARED_TEMPLATE, shared_page
from twostage.sharing import stored_bundle
from twostage.text import Markup, essay_texts, rich_texts
from twostage.words import speaking

#: The template of the first page of a study's chapter.
STUDY_TEMPLATE = "study.md.j2"


#: The page of the manuscript that pools what a chapter estimates.
_POOLED_IN = "results_lagged"


#: What a study's page says about it: column of the registry, in words.
FACTS = {
    "country": "Country",
    "year": "Year",
    "setting": "Setting",
    "treatment": "Treatment",
    "design": "Design",
    "n": "Participants",
    "source": "Source",
    "licence": "Licence",
}


def assemble(run: Run, target: Path) -> dict[str, bytes]:
    """Write everything from which Jupyter Book makes the book.

    Parameters
    ----------
    run : Run
        A run whose notebooks are executed.
    target : Path
        Folder for the source; emptied first.

    Returns
    -------
    dict
        The files of the run's results that the book offers, name -> content.

    Raises
    ------
    PipelineError
        If a page asks for a number that the run does not have, or the table of contents names no such page.
    """
    collection = read_collection(run.collection)
    with speaking(collection.words):
        return _assemble(run, collection, target)


def _assemble(run: Run, collection: Collection, target: Path) -> dict[str, bytes]:
    parameters = make_parameters(run.parameters, "run.json")
    chapters = find_chapters(run)
    context = book_context(run.folder, collection, parameters, run.manuscript, chapters.pages)
    # Of a part of a collection no recovery study is shown, though one is stored with the whole.
    context["has_recovery"] = run.has("recovery")
    context["imprint"] = imprint = make_imprint(run, collection)
    results = results_of(run, collection, executed=True)
    context |= software_context(results)
    rows = collection.studies[["study", "label"]].itertuples(index=False)
    context["chapters"] = [(label, Markup(f"notebooks/{study}/index.md")) for study, label in rows]
    pages = Pages(run.manuscript, context)
    there = _POOLED_IN in chapters.pages and pages.has(f"{_POOLED_IN}.md")
    context["pooled_in"] = Markup(_POOLED_IN if there else "")
    context["left_out_pages"] = chapters.titled(pages)
    emptied(target)
    context |= history_context(run, collection, results, target)
    _write_assets(run, collection, target / "assets", context)
    labels = {row["study"]: str(row["label"]) for row in collection.studies.to_dict("records")}
    config = {"title": collection.title, "note": collection.note, "author": collection.authors}
    config |= {"texts": _texts(collection), "assets": target / "assets", "studies": labels}
    config |= {"beside": offer(results, target)}
    launch = write_config(run.config, target / "_config.yml", **config)
    write_text(target / FOOTER_FILE, imprint.footer + results_footer(results))
    shutil.copy(run.manuscript / "references.bib", target)
    for notebook in run.stage2:
        shutil.copytree(run.output_folder(notebook), target / "output" / notebook)
    contents = read_yaml(run.manuscript / "_contents.yml")
    toc = Contents(run, collection, pages, target, launch, chapters, context["captions"]).table(contents)
    text = yaml.safe_dump(toc, allow_unicode=True, sort_keys=False)
    (target / "_toc.yml").write_text(text, encoding="utf-8")
    return results


def _write_assets(run: Run, collection: Collection, target: Path, context: dict[str, Any]) -> None:
    """What pages load: styles, scripts with their data, the card."""
    source, curve = run.manuscript / "assets", run.output_folder(HOME["multiverse"]) / LIVE
    copy_assets(source, target)
    write_scripts(source, target, context["forests"]())
    if curve.is_file():
        write_scripts(source, target, read_json(curve), MULTIVERSE)
    write_card(target, collection.title, context["effects"](), " ".join(rich_texts(collection.note)))


def _texts(collection: Collection) -> list[str]:
    """What a book shows of its collection that somebody wrote."""
    cells = collection.studies.select_dtypes(exclude="number").to_numpy().ravel()
    variables = [name for v in (collection.x, collection.y) for name in (v.label, v.name)]
    bundles = [stored_bundle(collection, study) for study in collection.shared]
    remains = [text for bundle in bundles for text in bundle.report.remains]
    remains += [bundle.manifest.pulled.title for bundle in bundles if bundle.manifest.pulled]
    written = [*rich_texts(collection.note), *essay_texts(collection.introduction)]
    said = [value for _, value in collection.review if isinstance(value, str)]
    written += [text for statement in said for text in rich_texts(statement)]
    if collection.risk_of_bias is not None:
        written += map(str, collection.risk_of_bias.to_numpy().ravel())
    return [collection.title, *written, *variables, *remains, *map(str, cells)]


class Contents:
    """Writes the pages that a table of contents names and completes the table.

    Parameters
    ----------
    run : Run
    collection : Collection
    pages : Pages
    target : Path
        Folder of the book's source.
    launch : Launch
        Where templates can be opened.
    chapters : Chapters
        Which pages of results there are.
    captions : Captions
    """

    def __init__(
        self,
        run: Run,
        collection: Collection,
        pages: Pages,
        target: Path,
        launch: Launch,
        chapters: Chapters,
        captions: Captions,
    ):
        self._run, self._collection, self._pages, self._target = run, collection, pages, target
        self._shown, self._captions = chapters, captions
        self._estimates = read_estimates(run.folder / "output")
        self._launch = launch
        self._command = run_command(run, collection.defaults)

    def table(self, contents: dict[str, Any]) -> dict[str, Any]:
        """The table of contents as Jupyter Book wants it (``_toc.yml``)."""
        self._page(contents["root"])
        parts = [
            {"caption": part["caption"], "chapters": self._chapters(part["pages"])}
            for part in contents["parts"]
        ]
        return {"format": "jb-book", "root": contents["root"], "parts": [p for p in parts if p["chapters"]]}

    def _chapters(self, pages: str | list[dict[str, str] | str]) -> list[dict[str, Any]]:
        if isinstance(pages, list):
            results = [notebook.chapter for notebook in STAGE2 if notebook.chapter in self._shown.pages]
            return [
                self._page(file)
                for page in pages
                for file in (results if page == "results" else self._one(page))
            ]
        generated = {
            "pooled": self._pooled,
            "tutorials": self._tutorials,
            "studies": self._studies,
            "api": self._api,
        }
        if pages not in generated:
            raise PipelineError(f"book/_contents.yml: no pages {pages!r}; one of {', '.join(generated)}")
        return generated[pages]()

    def _one(self, page: dict[str, str]) -> list[str]:
        return [page["file"]] if self._run.has(page.get("needs", "")) else []

    def _page(self, file: str) -> dict[str, Any]:
        text = self._pages.render(f"{file}.md")
        (self._target / f"{file}.md").write_text(text, encoding="utf-8")
        return {"file": file}

    def _pooled(self) -> list[dict[str, Any]]:
        # In the sidebar as well no two pages have one name: some are called like the page that quotes them.
        pages = [self._notebook(notebook) for notebook in self._shown.notebooks]
        return [page | {"title": computation(page["title"])} for page in pages]

    def _tutorials(self) -> list[dict[str, Any]]:
        return [self._notebook(notebook) for notebook in self._run.tutorials]

    def _studies(self) -> list[dict[str, Any]]:
        return [self._study(row) for row in self._collection.studies.to_dict("records")]

    def _study(self, row: dict[str, Any]) -> dict[str, Any]:
        facts = {words: MISSING if pd.isna(row[column]) else row[column] for column, words in FACTS.items()}
        facts = {words: fact for words, fact in facts.items() if fact != ""}
        against = study_section(self._run, self._estimates, row["study"], self._collection, self._target)
        file = f"notebooks/{row['study']}/index"
        if row["study"] in self._run.shared:
            more = shared_page(self._collection, row["study"])
            more |= {"study": row, "facts": facts, "against": against}
            text, sections = self._pages.render(SHARED_TEMPLATE, **more), []
            (self._target / file).parent.mkdir(parents=True, exist_ok=True)
        else:
            text = self._pages.render(STUDY_TEMPLATE, study=row, facts=facts, against=against)
            sections = [self._notebook(name, row["study"], row["label"]) for name in self._run.stage1]
        (self._target / f"{file}.md").write_text(text, encoding="utf-8")
        return {"file": file} | ({"sections": sections} if sections else {})

    def _notebook(self, name: str, study: str | None = None, label: str = "") -> dict[str, Any]:
        file = f"notebooks/{self._run.place(name, study)}".removesuffix(".ipynb")
        rerun = rerun_section(self._run, self._target, self._launch, self._command, name, study)
        executed, page = self._run.executed(name, study), self._target / f"{file}.ipynb"
        captions = self._captions if name in self._shown.notebooks else None
        title = copy_notebook(executed, page, label, rerun, captions)
        return {"file": file, "title": f"{title}, {study}" if study else title}

    def _api(self) -> list[dict[str, Any]]:
        # Nine tenths of the build of a small book are these pages, and they are the same for every collection.
        if not self._run.shows_project:
            return []
        return [{"file": page} for page in write_api_pages(self._target)]
