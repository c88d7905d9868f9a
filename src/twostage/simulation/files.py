"""The texts that go with a synthetic collection."""

from twostage.beside import table_beside, text_beside

#: What is in ``collection.yml``.
COLLECTION = text_beside(__file__, ".yml")


NOTE: str = table_beside(__file__)["note"]


DICTIONARY = text_beside(__file__, ".csv")


def readme(seed: int, n_studies: int, n_patients: int) -> str:
    """Content of the folder's README."""
    template = text_beside(__file__, ".md")
    return template.format(note=NOTE, seed=seed, n_studies=n_studies, n_patients=n_patients)
