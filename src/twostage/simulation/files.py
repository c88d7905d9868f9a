"""The texts that go with a synthetic collection."""

from twostage.beside import table_beside, text_beside

_COLLECTION, _DICTIONARY = text_beside(__file__, ".yml"), text_beside(__file__, ".csv")


NOTE: str = table_beside(__file__)["note"]


#: Of a collection with the day of each session: where it is, what it is, and how the days were drawn.
_DAY_COLUMN = "sessions:\n  columns:\n    day: day\n"
_DAY = 'day,"day of the session, counted from the patient\'s first one",days,0,1000,\n'
_WEEKLY = """ Sessions are weekly, each up to
a day before or two days after its weekday; the process goes by sessions, not by days."""


def dictionary(days: bool) -> str:
    """Content of ``dictionary.csv``."""
    return _DICTIONARY.replace("alliance,", f"{_DAY}alliance,", 1) if days else _DICTIONARY


def collection_yml(days: bool) -> str:
    """Content of ``collection.yml``."""
    return _COLLECTION.replace("patients:", f"{_DAY_COLUMN}patients:", 1) if days else _COLLECTION


def readme(seed: int, n_studies: int, n_patients: int, days: bool) -> str:
    """Content of the folder's README."""
    facts = {"seed": seed, "n_studies": n_studies, "n_patients": n_patients, "weekly": _WEEKLY * days}
    return text_beside(__file__, ".md").format(note=NOTE, **facts)
