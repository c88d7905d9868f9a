"""Which session a row is: by its number, its label, or the order of its dates."""

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from twostage.collection import outside_window, schema
from twostage.importing.blocks import LEAVE_OUT
from twostage.importing.mapping import ImportMapping
from twostage.importing.source import Source
from twostage.problems import Problem

#: Seconds since 1970 above this are thousandths of a second.
MILLISECONDS = 1e11


#: Steps from date to date by which a diary is known.
FEWEST_STEPS = 5


@dataclass(frozen=True)
class Numbered:
    """Sessions' numbers.

    Attributes
    ----------
    numbers : pandas.Series
        float, NaN where there is none; index = row.
    left_out : pandas.Series
        bool: rows that are no session.
    problems : list of Problem
    days : pandas.Series or None
        float, days since the patient's first date, of sessions that are numbered by date.
    """

    numbers: pd.Series
    left_out: pd.Series
    problems: list[Problem] = field(default_factory=list)
    days: pd.Series | None = None


def number_sessions(source: Source, mapping: ImportMapping) -> Numbered:
    """The session of each row of a long file."""
    found = _by_date(source, mapping) if mapping.date else _by_number(source, mapping)
    return replace(found, numbers=found.numbers + mapping.session_shift)


def label_numbers(labels: Iterable[str]) -> dict[str, int | str]:
    """What labels of sessions seem to mean: ``T3`` is 3, ``baseline`` no session.

    Parameters
    ----------
    labels : iterable of str

    Returns
    -------
    dict
        label -> number, or "leave out" where it has none; empty if numbers say nothing, or come twice.
    """
    # Of REDCap's session_1_arm_2 the arm is no session.
    parts = {text: re.findall(r"\d+", re.sub(r"_arm_\d+$", "", text)) for text in dict.fromkeys(labels)}
    counts = [len(numbers) for numbers in parts.values() if numbers]
    if not counts or min(counts) != max(counts):
        return {}
    for place in range(counts[0]):
        of = {re.sub(r"_arm_\d+$", "", label): int(n[place]) for label, n in parts.items() if n}
        numbers = list(of.values())
        if len(set(numbers)) == len(numbers) and max(numbers) <= schema.SESSION_LIMITS[1]:
            return {label: int(n[place]) if n else LEAVE_OUT for label, n in parts.items()}
    return {}


def _by_number(source: Source, mapping: ImportMapping) -> Numbered:
    cells, column = source.cells[mapping.session], mapping.session
    low, high = schema.SESSION_LIMITS
    numbers, wrong = {}, []
    for text in cells.unique():
        said = mapping.session_labels.get(text)
        number = float(said) if isinstance(said, int) else np.nan
        if said is None and re.fullmatch(schema.NUMBER, text):
            number = float(text)
        if said is None and not (number % 1 == 0 and low <= number + mapping.session_shift <= high):
            wrong.append(text)
            number = np.nan
        numbers[text] = number
    left_out = cells.isin([text for text, said in mapping.session_labels.items() if said == LEAVE_OUT])
    bad = cells[cells.isin(wrong)]
    problems = [
        Problem(source.name, int(row), column, text, _expected(text, low, high)) for row, text in bad.items()
    ]
    return Numbered(cells.map(numbers).astype(float), left_out, problems)


def _expected(text: str, low: float, high: float) -> str:
    number = re.findall(r"\d+", text)
    example = number[0] if len(number) == 1 and "." not in text and "," not in text else LEAVE_OUT
    return (
        f"a whole number, {low:g} to {high:g}, or its number in the mapping: "
        f"session_labels: {{{text!r}: {example}}}"
    )


def _by_date(source: Source, mapping: ImportMapping) -> Numbered:
    """Sessions numbered by the order of their dates within the patient; of time stamps with offset, by the instant."""
    cells, problems = source.cells[mapping.date], []
    form = mapping.date_format.strip()
    moments = {text: moment(text, form) for text in cells.unique()}
    known = {text: m for text, m in moments.items() if m is not None}
    with_offset = [text for text, m in known.items() if m.tzinfo is not None]
    if with_offset and len(with_offset) < len(known):
        bare = next(text for text, m in known.items() if m.tzinfo is None)
        row = int(cells.index[cells == bare][0])
        expected = f"an offset, as {with_offset[0]!r} has: without it, the order is not sure"
        problems.append(Problem(source.name, row, mapping.date, bare, expected))
        known = {}
    examples = {"ISO": "2024-03-31", "UNIX": "1711843200 (seconds since 1970)"}
    expected = f"a date, as in {examples.get(form.upper(), form)}"
    unknown = [text for text, m in moments.items() if m is None]
    for row, text in cells[cells.isin(unknown)].items():
        problems.append(Problem(source.name, int(row), mapping.date, text, expected))
    patients = source.cells[mapping.patient]
    days = cells.map({text: float(m.toordinal()) for text, m in known.items()}).astype(float)
    skipped = skipped_days(days, patients)
    if skipped and mapping.date_numbers is None:
        expected = (
            "date_numbers: days in the mapping if a skipped day is a missing session, or order if sessions are "
            "numbered as they come"
        )
        problems.append(Problem(source.name, None, mapping.date, skipped, expected))
    when = cells.map({text: _day(m) for text, m in known.items()}).astype(float)
    since = (when - when.groupby(patients).transform("min")).round(5)
    if mapping.date_numbers == "days":
        numbers = days - days.groupby(patients).transform("min") + 1
        return Numbered(numbers, pd.Series(False, index=cells.index), problems, since)
    order = {moment: i for i, moment in enumerate(sorted(set(known.values())))}
    places = cells.map({text: float(order[m]) for text, m in known.items()}).astype(float)
    numbers = places.groupby(patients).rank(method="dense")
    return Numbered(numbers, pd.Series(False, index=cells.index), problems, since)


def _day(moment: datetime.datetime) -> float:
    """The day of a moment with its part of a day; of one with offset, of the instant."""
    if moment.tzinfo is not None:
        return moment.timestamp() / 86400
    return moment.toordinal() + (moment - moment.replace(hour=0, minute=0, second=0)).total_seconds() / 86400


def skipped_days(days: pd.Series, patients: pd.Series) -> str:
    """What is found where patients have a row nearly every day; empty if they have not, or skip none.

    Parameters
    ----------
    days : pandas.Series
        Number of the day of each row.
    patients : pandas.Series
        Of each row.
    """
    table = pd.DataFrame({"patient": patients, "day": days}).dropna().sort_values(["patient", "day"])
    steps = table.groupby("patient")["day"].diff().dropna()
    longer = int((steps > 1).sum())
    daily = len(steps) >= FEWEST_STEPS and (steps == 1).mean() > 0.5
    return (
        f"{longer} of {len(steps)} steps of more than one day in dates of every day"
        if daily and longer
        else ""
    )


def moment(text: str, form: str) -> datetime.datetime | None:
    """When a text of a format is; None if it is no such text."""
    try:
        if form.upper() == "ISO":
            return datetime.datetime.fromisoformat(text)
        if form.upper() == "UNIX":
            seconds = float(text)
            seconds = seconds / 1000 if abs(seconds) > MILLISECONDS else seconds
            return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        return datetime.datetime.strptime(text, form)
    except (ValueError, OverflowError, OSError):
        return None


def window_note(sessions: pd.DataFrame, window: tuple[int, int] | None, shift: int) -> list[str]:
    """What to say where many sessions are outside of the collection's window, or one is numbered 0.

    Parameters
    ----------
    sessions : pandas.DataFrame
        session, x, y.
    window : (int, int) or None
    shift : int
        What the mapping adds already.
    """
    text = outside_window(sessions, window) if window else ""
    if text and window[0] > 0 and (sessions["session"] == 0).any():
        text += f"; if session 0 is the first one, say session_shift: {shift + 1} in the mapping"
    return [text] if text else []
