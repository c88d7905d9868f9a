"""A run's tables as pages quote them, number by number: each is read once."""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from twostage.pipeline.content import Identity, identity
from twostage.text import read_csv


def read_table(path: Path, *, texts: bool = False) -> pd.DataFrame:
    """As :func:`twostage.text.read_csv`; from the disk only where the file is another than it was.

    Parameters
    ----------
    path : Path
    texts : bool
        Whether every column holds texts.

    Returns
    -------
    pandas.DataFrame
        One of the caller's own: what is done to it nobody else sees.
    """
    return _read(path, identity(path), texts).copy(deep=False)


@lru_cache(maxsize=500)
def _read(path: Path, found: Identity, texts: bool) -> pd.DataFrame:
    return read_csv(path, texts=texts)
