"""What of a study is kept when it is drawn again: patients, sessions, and who was observed when."""

import hashlib
from dataclasses import dataclass

import numpy as np

from twostage.collection import Collection
from twostage.params import Parameters
from twostage.stage1 import make_panel


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


def study_designs(collection: Collection, parameters: Parameters) -> tuple[StudyDesign, ...]:
    """The designs of a collection's studies that have data, in the order of its registry.

    Parameters
    ----------
    collection : Collection
    parameters : Parameters
        For the window of sessions.

    Raises
    ------
    CollectionError
        As reading the studies raises it.
    """
    designs = []
    for study in collection.studies["study"]:
        if study in collection.shared:
            continue
        panel = make_panel(collection.study(study), parameters)
        designs.append(StudyDesign(panel.study, panel.label, np.isfinite(panel.wide()[0])))
    return tuple(designs)


def design_checksum(designs: tuple[StudyDesign, ...]) -> str:
    """SHA-256 over studies and their patterns of observation, whatever the order of patients."""
    digest = hashlib.sha256()
    for design in designs:
        rows = design.observed.reshape(len(design.observed), -1)
        digest.update(f"{design.study}\0{rows.shape}\0".encode())
        digest.update(np.packbits(rows[np.lexsort(rows.T)]).tobytes())
    return digest.hexdigest()
