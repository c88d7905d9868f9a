"""Every record of one study without notebooks: with the parameters that its notebooks would take."""

from twostage.collection import Study
from twostage.params import RECORDS, Parameters
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
    for notebook, analyses in RECORDS.items():
        panel = make_panel(study, notebook_parameters(notebook, parameters))
        made |= {analysis: make_record(panel, FUNCTIONS[analysis](study, panel)) for analysis in analyses}
    return made
