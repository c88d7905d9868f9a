"""The texts that go with a synthetic collection."""

import yaml

from twostage.beside import text_beside

NOTE = (
    "Synthetic data: simulated by this project from a generating model with known truth. No participant "
    "stands behind any row, and no number is an estimate of a published one."
)


DICTIONARY = text_beside(__file__, ".csv")


def collection_yml() -> str:
    """Content of ``collection.yml``."""
    content = {
        "title": "Alliance and early symptoms",
        "note": NOTE,
        "authors": "The twostage authors",
        "synthetic": True,
        "x": {"name": "alliance", "label": "alliance", "better": "higher"},
        "y": {"name": "symptoms", "label": "symptom severity", "better": "lower"},
        "parameters": {"first_session": 1, "last_session": 7},
        "patients": {
            "file": "patients/{study}.csv",
            "columns": {c: c for c in ("patient", "therapist", "age", "gender", "pre", "post")},
        },
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def readme(seed: int, n_studies: int, n_patients: int) -> str:
    """Content of the folder's README."""
    template = text_beside(__file__, ".md")
    return template.format(note=NOTE, seed=seed, n_studies=n_studies, n_patients=n_patients)
