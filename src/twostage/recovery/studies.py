"""The studies of a collection as what is kept of them when they are drawn again."""

import numpy as np

from twostage.collection import Collection
from twostage.params import Parameters
from twostage.recovery.design import StudyDesign
from twostage.stage1 import make_panel


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
        panel = make_panel(collection.study(study), parameters)  # type: ignore[arg-type]
        designs.append(StudyDesign(panel.study, panel.label, np.isfinite(panel.wide()[0])))
    return tuple(designs)
