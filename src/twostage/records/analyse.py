"""Stage 1 of many studies in one call, without notebooks: seconds instead of minutes, the same records."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from twostage.collection import Collection, LargeStudy, Study
from twostage.notebooks import NOTEBOOKS, RECORD_HOME, STAGE1
from twostage.params import Parameters, make_parameters
from twostage.records.record import Record, Result, make_record
from twostage.stage1 import (
    Panel,
    crosslevel,
    describe,
    estimators,
    lagged,
    make_panel,
    onestage,
    outcome,
    sensitivity,
    transition,
)

#: Analysis -> function of a study and its panel.
FUNCTIONS: dict[str, Callable[[Study | LargeStudy, Panel], Result]] = {
    "data": lambda study, panel: describe(panel),
    "outcome": lambda study, panel: outcome(panel),
    "lagged": lambda study, panel: lagged(panel),
    "transition": lambda study, panel: transition(panel),
    "sensitivity": lambda study, panel: sensitivity(study, panel.parameters),  # type: ignore[arg-type]
    "onestage": lambda study, panel: onestage(panel),
    "crosslevel": lambda study, panel: crosslevel(panel),
    "estimators": lambda study, panel: estimators(panel),
}


#: What answers the question; the rest describes or varies it.
MAIN = ("outcome", "lagged", "crosslevel")


@dataclass(frozen=True)
class Analysed:
    """Records of several studies under one set of parameters.

    Attributes
    ----------
    parameters : Parameters
    records : dict
        Analysis -> one :class:`~twostage.records.record.Record` per study, in the order of the collection.
    """

    parameters: Parameters
    records: dict[str, list[Record]]


def analyse(
    collection: Collection,
    parameters: Parameters,
    analyses: Iterable[str] = MAIN,
    shared: Mapping[str, Mapping[str, Record]] = MappingProxyType({}),
    over: Callable[..., Any] | None = None,
    read: Mapping[str, Study | LargeStudy] = MappingProxyType({}),
) -> Analysed:
    """Run stage 1 on every study of a collection.

    Parameters
    ----------
    collection : Collection
    parameters : Parameters
    analyses : iterable of str
        Keys of :data:`FUNCTIONS`; `outcome` is left out where the collection has no posttreatment scores.
    shared : mapping, optional
        Study -> its records by analysis, for studies that shared those instead of data
        (:func:`twostage.sharing.stored.shared_records`).
    over : callable, optional
        What sums over the pieces of a study too large for memory; default: this process, one after the other.
    read : mapping, optional
        Studies that were read already; the others are read here.

    Returns
    -------
    Analysed

    Raises
    ------
    CollectionError
        If a study's files cannot be used.
    """
    has_outcome = bool(collection.pre and collection.post)
    wanted = [name for name in analyses if has_outcome or name != "outcome"]
    records: dict[str, list[Record]] = {name: [] for name in wanted}
    taken = {name: notebook_parameters(RECORD_HOME[name], parameters) for name in wanted}
    for id in collection.studies["study"]:
        if id in shared:
            for name in wanted:
                records[name].append(shared[id][name])
            continue
        study = read[id] if id in read else collection.study(id)
        if isinstance(study, LargeStudy):
            study = replace(study, over_pieces=over)
        # Both choose by the kind of study, which type checkers do not see.
        panels = {v: make_panel(study, v) for v in dict.fromkeys(taken.values())}  # type: ignore[arg-type]
        for name, values in taken.items():
            records[name].append(make_record(panels[values], FUNCTIONS[name](study, panels[values])))
    return Analysed(parameters, records)


def stage1_records(study: Study, parameters: Parameters) -> dict[str, Record]:
    """Every record of a study by analysis, as its stage-1 notebooks would leave them from `parameters`, of the whole."""
    made: dict[str, Record] = {}
    for notebook in STAGE1:
        panel = make_panel(study, notebook_parameters(notebook.name, parameters))
        made |= {name: make_record(panel, FUNCTIONS[name](study, panel)) for name in notebook.leaves}
    return made


def notebook_parameters(notebook: str, parameters: Parameters) -> Parameters:
    """The parameters that a notebook takes; the others at their defaults, as its records have them."""
    names = [name for name in NOTEBOOKS[notebook].takes if name in Parameters.model_fields]
    return make_parameters({name: getattr(parameters, name) for name in names})
