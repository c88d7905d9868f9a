"""The works that a text cites, as the APA has them."""

from pathlib import Path

from pybtex.database import Entry, Person, parse_file

from twostage.text import Markup, myst

#: Authors who are all listed; of more, the first 19 and the last.
MOST = 20


class References:
    """Cites works and lists those that were cited.

    Parameters
    ----------
    path : Path
        A BibTeX file.
    """

    def __init__(self, path: Path):
        self._entries = parse_file(path, "bibtex").entries
        self._cited: dict[str, Entry] = {}

    def cite(self, *keys: str) -> Markup:
        """``(Bates et al., 2015; Hartung & Knapp, 2001)``, in MyST.

        Raises
        ------
        KeyError
            The file has no such work.
        """
        for key in keys:
            self._cited[key] = self._entries[key]
        found = sorted(f"{_who(self._entries[key])}, {_plain(self._entries[key], 'year')}" for key in keys)
        return myst(f"({'; '.join(found)})")

    def listed(self) -> list[Markup]:
        """The cited works, sorted, each a line of MyST."""
        return [
            _line(entry)
            for entry in sorted(self._cited.values(), key=lambda e: (_names(e), _plain(e, "year")))
        ]


def _who(entry: Entry) -> str:
    names = [_last(person) for person in entry.persons["author"]]
    return " & ".join(names) if len(names) <= 2 else f"{names[0]} et al."


def _last(person: Person) -> str:
    return _bare(" ".join([*person.prelast_names, *person.last_names]))


def _name(person: Person) -> str:
    """``Wampold, B. E.``; ``Ekeblad, A.-S.``"""
    given = [_bare(name) for name in (*person.first_names, *person.middle_names)]
    initials = " ".join("-".join(f"{part[0]}." for part in name.split("-") if part) for name in given if name)
    return f"{_last(person)}, {initials}" if initials else _last(person)


def _names(entry: Entry) -> str:
    names = [_name(person) for person in entry.persons["author"]]
    if len(names) > MOST:
        return f"{', '.join(names[: MOST - 1])}, … {names[-1]}"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])}, & {names[-1]}"


def _line(entry: Entry) -> Markup:
    who, year, title = _names(entry), _plain(entry, "year"), _plain(entry, "title")
    text = f"{myst(f'{who} ({year}). {title}.')}"
    if journal := _plain(entry, "journal"):
        text += f" *{myst(journal)}*"
        text += f", *{myst(_plain(entry, 'volume'))}*" if _plain(entry, "volume") else ""
        text += myst(f"({_plain(entry, 'number')})") if _plain(entry, "number") else ""
        text += f", {myst(_plain(entry, 'pages'))}" if _plain(entry, "pages") else ""
        text += "."
    if doi := _plain(entry, "doi"):
        text += f" {myst(f'https://doi.org/{doi}')}"
    return Markup(text)


def _plain(entry: Entry, field: str) -> str:
    return _bare(str(entry.fields.get(field, "")))


def _bare(text: str) -> str:
    """Without BibTeX's braces and escapes."""
    return text.replace("{", "").replace("}", "").replace("\\&", "&").replace("--", "–")
