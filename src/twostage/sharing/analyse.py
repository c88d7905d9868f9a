"""Every record of one study without notebooks: with the parameters that its notebooks would take."""

from twostage.collection import Study
from twostage.notebooks import STAGE1
from twostage.params import Parameters
from twostage.records import FUNCTIONS, Record, make_record, notebook_parameters
from twostage.stage1 import make_panel


def stage1_records(study: Study, parameters: Parameters) -> dict[str, Record]:
    """Every record of a study, as its stage-1 notebooks would leave them.

    Parameters
    ----------
    study : Study
    parameters : Parameters
        Of the whole analysis.

    Returns
    -------
    dict
        analysis -> :class:`twostage.records.record.Record`.
    """
    made = {}
    for notebook in STAGE1:
        panel = make_panel(study, notebook_parameters(notebook.name, parameters))
        made |= {name: make_record(panel, FUNCTIONS[name](study, panel)) for name in notebook.leaves}
    return made
