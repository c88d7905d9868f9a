"""What names of columns usually mean, in the languages of their users: roles, sessions' numbers, moments."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from twostage.beside import table_beside
from twostage.importing.blocks import SESSION

_WORDS = {key: tuple(text.split()) for key, text in table_beside(__file__).items()}


#: What may follow a person's or an occasion's word: number, code, label.
_ENDS = ("", "id", "nr", "no", "num", "number", "nummer", "code", "kode", "key", "index", "name")


_BOTH_ENDS = ("n", "s", "en")


def _with_ends(words: Sequence[str]) -> tuple[str, ...]:
    """Each word with what may stand around it, the plainest first."""
    forms = [f"{w}{e}" for e in _ENDS for w in words]
    forms += [f"{w}{between}{e}" for w in words for between in _BOTH_ENDS for e in _ENDS if e]
    forms += [f"{e}{w}" for w in words for e in ("id", "nr", "num")]
    return tuple(dict.fromkeys(forms))


#: What columns are usually called; the first that fits wins.
NAMES = {
    "patient": ("patientid", *_with_ends(_WORDS["person"]), *_WORDS["patient"]),
    "session": (
        "session",
        *_with_ends(_WORDS["occasion"]),
        *_WORDS["session"],
        *_with_ends(_WORDS["period"]),
    ),
    "date": _WORDS["date"] + _WORDS["other_dates"],
    **{role: _WORDS[role] for role in ("therapist", "age", "gender")},
}


#: What may stand between a score's name and its session's number.
SESSION_MARKS = _WORDS["session_marks"]


#: What may stand before an item's number.
ITEM_MARKS = _WORDS["item_marks"]


#: Parts of a name that say only that it is a score.
SCORE_WORDS = _WORDS["score_words"]


#: Parts of a score's name that say who gave it; where several did, a person must choose.
RATERS = _WORDS["raters"]


#: What a score before and after treatment has in its name.
MOMENTS = {moment: _WORDS[moment] for moment in ("pre", "post")}


_LAST = re.compile(r"(?P<before>.*?[^0-9])(?P<number>[0-9]{1,3})")


_FIRST = re.compile(
    rf"(?P<before>(?:{'|'.join(SESSION_MARKS)})[_ .-]?)(?P<number>[0-9]{{1,3}})(?P<after>[_.\- ].+)", re.I
)


def wide_groups(columns: Sequence[str]) -> dict[str, list[int]]:
    """Names that differ in a session's number only -> these numbers; at least two each.

    Parameters
    ----------
    columns : sequence of str

    Returns
    -------
    dict
        ``wai_{session}`` -> [1, 2, 3]. The number ends the name, or begins it after a mark: ``t1_wai``.
    """
    found: dict[str, list[int]] = {}
    for column in columns:
        match = _LAST.fullmatch(column) or _FIRST.fullmatch(column)
        if match:
            after = match.groupdict().get("after") or ""
            found.setdefault(match["before"] + SESSION + after, []).append(int(match["number"]))
    return {pattern: sorted(numbers) for pattern, numbers in found.items() if len(set(numbers)) > 1}


def listed(columns: Sequence[str], least: int = 3) -> list[str]:
    """Columns in their order, those that differ in a last number only as one: ``wai_1 ... wai_7``."""
    groups = {p: n for p, n in wide_groups(columns).items() if len(n) >= least and p.endswith(SESSION)}
    members: dict[str, list[str]] = {}
    for column in columns:
        match = _LAST.fullmatch(column)
        pattern = match["before"] + SESSION if match else ""
        members.setdefault(pattern if pattern in groups else column, []).append(column)
    return [f"{m[0]} ... {m[-1]}" if len(m) >= least else ", ".join(m) for m in members.values()]


def plain(text: str) -> str:
    """Letters and digits of a name, in lower case."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", text)).casefold()


def named(role: str, columns: Sequence[str]) -> list[str]:
    """The columns that are called as a role's usually are, the likeliest first."""
    called = {c: plain(c) for c in columns}
    return [c for name in NAMES[role] for c in columns if called[c] == name]


#: Words that many questions have, and not only those that ask for a person's code or an occasion's number.
_EVERYDAY = frozenset(_WORDS["everyday"])


def labelled(role: str, labels: Mapping[str, str]) -> list[str]:
    """The columns whose label (the text of a question) has a word of a role's, whose own names say nothing.

    Parameters
    ----------
    role : str
        Of :data:`NAMES`.
    labels : mapping
        column -> its label.
    """
    words = {*NAMES[role], *(("code", "id") if role == "patient" else ())} - _EVERYDAY
    return [c for c, label in labels.items() if words & {plain(word) for word in re.split(r"[\W_]+", label)}]


def bare(name: str) -> str:
    """A column's name without what only announces a score or its session: ``WAI_total_s{session}`` is ``wai``."""
    before, numbered, after = name.partition(SESSION)
    parts = [part for part in re.split(r"[\W_]+", before.casefold()) if part]
    rest = [part for part in re.split(r"[\W_]+", after.casefold()) if part]
    if (
        numbered
        and parts
        and parts[-1] in SESSION_MARKS
        and (before[-1].isalnum() or rest)
        and len(parts + rest) > 1
    ):
        parts.pop()
    kept = [part for part in parts + rest if part not in SCORE_WORDS]
    return "".join(kept or parts + rest)


def at_moment(moment: str, columns: Sequence[str], words: Sequence[str]) -> list[str]:
    """Columns with a score before (``pre``) or after (``post``) treatment.

    Parameters
    ----------
    moment : {"pre", "post"}
    columns : sequence of str
    words : sequence of str
        What the score may be called.

    Returns
    -------
    list of str
        Those with both in their name, ``oq_pre``; where there is none, those that are only called ``pre``.
    """
    marks, found = MOMENTS[moment], {c: bare(c) for c in columns}
    both = {f"{a}{b}" for w in words for m in marks for a, b in ((w, m), (m, w))}
    return [c for c in columns if found[c] in both] or [c for c in columns if found[c] in marks]


@dataclass(frozen=True)
class ItemGrid:
    """Columns of items for each session of a wide file.

    Attributes
    ----------
    pattern : str
        With ``{session}`` and ``{item}``.
    sessions, items : tuple of int
        Every item is there for every session.
    columns : tuple of str
    """

    pattern: str
    sessions: tuple[int, ...]
    items: tuple[int, ...]
    columns: tuple[str, ...]

    def names(self) -> list[str]:
        """The items' columns with ``{session}``, as a mapping has them."""
        digits = max(len(str(self.items[-1])), 1) if "{item:0}" in self.pattern else 1
        return [
            self.pattern.replace("{item}", str(i)).replace("{item:0}", str(i).zfill(digits))
            for i in self.items
        ]


_TWO = re.compile(r"(?P<before>.*?\D)(?P<a>\d{1,3})(?P<between>\D+)(?P<b>\d{1,3})(?P<after>\D*)")


_RUN = re.compile(r"(?P<before>.*\D)(?P<run>\d{2,5})")


def item_grids(columns: Sequence[str], counts: Callable[[str], Sequence[int]]) -> list[ItemGrid]:
    """Columns that differ in two numbers, the session's and the item's: ``phq_s1_i3``, ``wai_1_12``, ``wai712``.

    Parameters
    ----------
    columns : sequence of str
    counts : callable
        Beginning of the names -> how many items such a questionnaire has: tells which number is which where the
        names do not. Where nothing tells it, there is no grid.
    """
    two: dict[tuple[str, str, str], dict[tuple[int, int], str]] = {}
    runs: dict[str, dict[str, str]] = {}
    for column in columns:
        match = _TWO.fullmatch(column)
        if match:
            key = match["before"], match["between"], match["after"]
            two.setdefault(key, {})[int(match["a"]), int(match["b"])] = column
        elif run := _RUN.fullmatch(column):
            runs.setdefault(run["before"], {})[run["run"]] = column
    found = [_of_two(*key, pairs, counts) for key, pairs in two.items()]
    found += [_of_run(before, texts, counts(before)) for before, texts in runs.items()]
    return [grid for grid in found if grid]


def _of_two(
    before: str,
    between: str,
    after: str,
    pairs: dict[tuple[int, int], str],
    counts: Callable[[str], Sequence[int]],
) -> ItemGrid | None:
    first, second = (tuple(sorted({pair[i] for pair in pairs})) for i in (0, 1))
    full = len(pairs) == len(first) * len(second)
    if not full or min(len(first), len(second)) < 2 or not all(_plainly(c, p) for p, c in pairs.items()):
        return None
    session_first = _first_is_session(before, between)
    if session_first is None:
        known = counts(before) or counts(between)
        session_first = _by_count(first, second, known)
    if session_first is None:
        return None
    a, b = ("{session}", "{item}") if session_first else ("{item}", "{session}")
    sessions, items = (first, second) if session_first else (second, first)
    return ItemGrid(before + a + between + b + after, sessions, items, tuple(pairs.values()))


def _plainly(column: str, pair: tuple[int, int]) -> bool:
    """Whether numbers are written without leading zeros, as a mapping's pattern has them."""
    return all(re.search(rf"(?<!\d){n}(?!\d)", column) for n in pair)


def _first_is_session(before: str, between: str) -> bool | None:
    first, second = (re.split(r"[\W_]+", text.casefold().rstrip("_-. "))[-1] for text in (before, between))
    if first in ITEM_MARKS or second in SESSION_MARKS:
        return False
    return True if first in SESSION_MARKS or second in ITEM_MARKS else None


def _by_count(first: Sequence[int], second: Sequence[int], counts: Sequence[int]) -> bool | None:
    """Whether the first number is the session's, by how many items there are."""
    fits = (len(first) in counts, len(second) in counts)
    return fits[1] if fits[0] != fits[1] else None


def _of_run(before: str, texts: dict[str, str], counts: Sequence[int]) -> ItemGrid | None:
    """Two numbers with nothing between them: session and item, where one way to part them gives every pair once."""
    n, ways = len(texts), []
    for a in range(2, n // 3 + 1):
        b = n // a
        for digits in (1, 2) if n % a == 0 else ():
            made = {f"{s}{str(i).zfill(digits)}" for s in range(1, a + 1) for i in range(1, b + 1)}
            if made == set(texts):
                ways.append((a, b, digits))
    if len(ways) != 1:
        return None
    a, b, digits = ways[0]
    session_first = _by_count(range(a), range(b), counts)
    if session_first is False and digits == 1:
        pattern, sessions, items = "{item}{session}", b, a
    else:
        pattern, sessions, items = "{session}" + ("{item:0}" if digits == 2 else "{item}"), a, b
    counted = [tuple(range(1, k + 1)) for k in (sessions, items)]
    return ItemGrid(before + pattern, *counted, tuple(texts.values()))
