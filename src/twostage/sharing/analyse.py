"""Every record of one study without notebooks: with the parameters that its notebooks would take."""

from twostage.analysis import FUNCTIONS
from twostage.collection import Study
from twostage.panel import make_panel
from twostage.params import NOTEBOOKS, RECORDS, Parameters, make_parameters
from twostage.records import Record, make_record


def notebook_parameters(notebook: str, parameters: Parameters) -> Parameters:
    """The parameters that a notebook takes; the others at their defaults, as its records have them."""
    taken = [name for name in NOTEBOOKS[notebook] if name in Parameters.model_fields]
    return make_parameters({name: getattr(parameters, name) for name in taken})


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
        analysis -> :class:`twostage.records.Record`.
    """
    made = {}
    for notebook, analyses in RECORDS.items():
        panel = make_panel(study, notebook_parameters(notebook, parameters))
        made |= {analysis: make_record(panel, FUNCTIONS[analysis](study, panel)) for analysis in analyses}
    return made
