"""What a book says of itself: how it is cited, when and from what it was made, and under which licences."""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import metadata, version

from twostage.collection import Collection
from twostage.pipeline.book.footer import CITE_ADDRESS
from twostage.pipeline.day import today
from twostage.pipeline.run import Run
from twostage.recovery.simulations import source_commit
from twostage.text import Markup, fence, markup, myst, visible

#: What means something in a field of BibTeX or in the TeX that reads it.
_TEX = {c: f"\\{c}" for c in "&%$#_"} | {
    "{": r"\{",
    "}": r"\}",
    "~": r"\~{}",
    "^": r"\^{}",
    "\\": r"\textbackslash{}",
}


#: How an address begins that is a DOI.
_DOI = "https://doi.org/"


@dataclass(frozen=True)
class Imprint:
    """Facts about a book; texts are those of the collection, unescaped.

    Attributes
    ----------
    authors, title, date : str
        Who signs it, what it is called, the day on which it was made.
    version, commit : str
        Of the package.
    collection, checksum : str
        Name of the collection and SHA-256 over the checksums of its studies' data.
    data_licences : str
    code_licence, software, software_authors : str
        From the package's metadata, which a test holds equal to ``CITATION.cff``.
    address, software_address : str
        Of the book, as the collection says, and of the software, as the package's metadata say; empty: there is none.
    """

    authors: str
    title: str
    date: str
    version: str
    commit: str
    collection: str
    checksum: str
    data_licences: str
    code_licence: str
    software: str
    software_authors: str
    address: str = ""
    software_address: str = ""

    @property
    def sentence(self) -> str:
        """The reference, as a text."""
        made = f"Living book, made on {self.date} with twostage {self.version}"
        return (
            f"{self.authors} ({self.date[:4]}). {self.title} [{made}].{self.address and ' ' + self.address}"
        )

    @property
    def made_from(self) -> str:
        """What it was made from, as a text."""
        data = f"collection {self.collection}" + (f" (SHA-256 {self.checksum[:12]})" if self.checksum else "")
        licences = f"Code: {self.code_licence}. Data: {self.data_licences}."
        return f"twostage {self.version}, commit {self.commit}, {self.date}; {data}. {licences}"

    @property
    def footer(self) -> str:
        """The footer of every page, as HTML."""
        link = f'<a href="{CITE_ADDRESS}">How to cite</a>'
        lines = f"{link}: {markup(self.sentence)}", f"Made from: {markup(self.made_from)}"
        return f'<div class="imprint"><p>{lines[0]}</p><p>{lines[1]}</p></div>'

    def cited(self) -> Markup:
        """The reference and the facts, as MyST."""
        facts = {
            "Made on": self.date,
            "Version": f"twostage {self.version}, commit {self.commit}",
            "Collection": self.collection,
            "SHA-256 of its data": self.checksum or "not known",
            "Licence of the code": self.code_licence,
            "Licences of the data": self.data_licences,
        }
        lines = [f"- **{name}**: {myst(fact)}" for name, fact in facts.items()]
        return Markup("\n".join([myst(self.sentence), "", *lines, "", myst(self._missing())]).rstrip())

    def _missing(self) -> str:
        """What a reader of the reference cannot follow, and what would mend it."""
        texts = []
        if not self.address:
            texts.append(
                "The reference has no address, since none is stated: once the book is published, its DOI or URL "
                "belongs into the setting “address” of the collection's collection.yml, and stands here from then on."
            )
        if not self.software_address:
            texts.append("The software's repository is not public so far: its entry has no address either.")
        return " ".join(texts)

    def bibtex(self) -> Markup:
        """Entries for the book and for the software, as a block of MyST."""
        year = self.date[:4]
        note = f"Made with twostage {self.version}, commit {self.commit}, on {self.date}"
        book = {"author": self.authors, "title": self.title, "year": year, "note": note}
        software = {
            "author": self.software_authors,
            "title": self.software,
            "year": year,
            "version": self.version,
        }
        for fields, address in ((book, self.address), (software, self.software_address)):
            if address:
                doi = address.removeprefix(_DOI)
                fields["doi" if doi != address else "url"] = doi
        return fence(
            f"{_entry('book', 'misc', book)}\n\n{_entry('twostage', 'software', software)}", "bibtex"
        )


def _entry(key: str, kind: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {{{_tex(value, name == 'author')}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _tex(text: str, name: bool) -> str:
    """A text in a field; an author's name in braces of its own, so that no part of it is taken for a family name."""
    escaped = "".join(_TEX.get(c, c) for c in visible(text))
    return f"{{{escaped}}}" if name else escaped


def make_imprint(run: Run, collection: Collection) -> Imprint:
    """The facts about a run's book.

    Parameters
    ----------
    run : Run
    collection : Collection

    Notes
    -----
    The day is that of :func:`twostage.pipeline.day.today`.
    """
    about = metadata("twostage")
    licences = sorted({str(v) for v in collection.studies["licence"].dropna()} - {""})
    return Imprint(
        authors=collection.authors or f"The authors of {collection.title}",
        title=collection.title,
        date=today(),
        version=version("twostage"),
        commit=source_commit(),
        collection=collection.name,
        checksum=_checksum(run),
        data_licences=", ".join(licences) or "none is named",
        code_licence=about["License-Expression"],
        software=f"{about['Name']}: {about['Summary']}",
        software_authors=about["Author"],
        address=collection.address,
        software_address=next(
            (
                url.partition(", ")[2]
                for url in about.get_all("Project-URL") or []
                if url.startswith("Repository")
            ),
            "",
        ),
    )


def _checksum(run: Run) -> str:
    """Over the studies' ids and the checksums of their data; empty where the run has none."""
    files = [(study, run.study_file(study)) for study in run.studies]
    known = [
        (study, json.loads(file.read_text(encoding="utf-8"))["checksum"])
        for study, file in files
        if file.is_file()
    ]
    text = "".join(f"{study} {checksum}\n" for study, checksum in known)
    return hashlib.sha256(text.encode()).hexdigest() if text else ""
