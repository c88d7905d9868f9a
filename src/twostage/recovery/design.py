"""What of a study is kept when it is drawn again: patients, sessions, and who was observed when."""

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class StudyDesign:
    """One study without its scores.

    Attributes
    ----------
    study, label : str
    observed : ndarray of bool, shape (n, T, 2)
        Whether patient i's x and y were observed at session t of the window; every patient has a score.
    """

    study: str
    label: str
    observed: np.ndarray

    @property
    def last(self) -> np.ndarray:
        """Each patient's last observed session, counted from 0, shape (n,)."""
        some = self.observed.any(axis=2)
        return some.shape[1] - 1 - some[:, ::-1].argmax(axis=1)


def design_checksum(designs: tuple[StudyDesign, ...]) -> str:
    """SHA-256 over studies and their patterns of observation, whatever the order of patients."""
    digest = hashlib.sha256()
    for design in designs:
        rows = design.observed.reshape(len(design.observed), -1)
        digest.update(f"{design.study}\0{rows.shape}\0".encode())
        digest.update(np.packbits(rows[np.lexsort(rows.T)]).tobytes())
    return digest.hexdigest()
