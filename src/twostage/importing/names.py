"""What names of columns usually mean: roles, sessions' numbers, moments of treatment; English and German."""

import re
from collections.abc import Sequence

from twostage.importing.mapping import SESSION

#: What columns are usually called; the first that fits wins.
NAMES = {
    "patient": ("patient", "patientid", "pid", "clientid", "client", "subject", "subjectid", "participant")
    + ("participantid", "patientnr", "patnr", "patid", "code", "vpn", "vp", "case", "caseid", "id"),
    "session": (
        "session",
        "sessionnr",
        "sessionno",
        "sessionnumber",
        "sessionnum",
        "sess",
        "sessnr",
        "sessno",
    )
    + (
        "sitzung",
        "sitzungsnr",
        "wave",
        "visit",
        "occasion",
        "timepoint",
        "messzeitpunkt",
        "mzp",
        "week",
        "woche",
        "day",
    ),
    "date": ("date", "datum", "sessiondate", "sitzungsdatum", "visitdate"),
    "therapist": ("therapist", "therapistid", "therapistnr", "therapeut", "therapeutid", "tid"),
    "age": ("age", "alter"),
    "gender": ("gender", "sex", "geschlecht"),
}


#: What may stand between a score's name and its session's number.
SESSION_MARKS = ("s", "t", "w", "session", "sess", "sitzung", "wave", "week", "time", "visit")


#: Parts of a name that say only that it is a score.
SCORE_WORDS = ("total", "tot", "sum", "score", "mean", "avg", "raw", "summe", "gesamt", "mittelwert", "mw")


#: What a score before and after treatment has in its name.
MOMENTS = {
    "pre": ("pre", "prae", "pretreatment", "pretest", "intake", "baseline", "bl", "t0", "before"),
    "post": ("post", "posttreatment", "posttest", "end", "ende", "termination", "discharge", "after"),
}


_LAST = re.compile(r"(?P<before>.*?[^0-9])(?P<number>[0-9]{1,3})")


_FIRST = re.compile(
    rf"(?P<before>(?:{'|'.join(SESSION_MARKS)})_?)(?P<number>[0-9]{{1,3}})(?P<after>[_.\- ].+)", re.I
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
    return re.sub(r"[\W_]+", "", text).casefold()


def named(role: str, columns: Sequence[str]) -> list[str]:
    """The columns that are called as a role's usually are, the likeliest first."""
    return [c for name in NAMES[role] for c in columns if plain(c) == name]


def bare(name: str) -> str:
    """A column's name without what only announces a score or its session: ``WAI_total_s{session}`` is ``wai``."""
    before, _, after = name.partition(SESSION)
    parts = [part for part in re.split(r"[\W_]+", before.casefold()) if part]
    rest = [part for part in re.split(r"[\W_]+", after.casefold()) if part]
    if parts and parts[-1] in SESSION_MARKS and before[-1].isalnum() and len(parts + rest) > 1:
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
