"""What becomes of an input once it is accepted: everything that the pooled notebooks and pages compute, without kernels."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from twostage.collection.collection import Collection
from twostage.display import html_table
from twostage.pages.addition.analysis import addition, read_estimates
from twostage.pages.addition.tables import addition_table, sentences
from twostage.pages.common.leave import show_result, write_pooled
from twostage.pages.common.tables import left_out_sentence, pooled_table
from twostage.pages.countries.analysis import pool_in_countries
from twostage.pages.countries.tables import country_sentence, country_table
from twostage.pages.influence.analysis import examine_influence
from twostage.pages.influence.tables import influence_sentences
from twostage.pages.joint.analysis import examine_joint, joint_options
from twostage.pages.joint.tables import joint_sentences, joint_table
from twostage.pages.moderators.analysis import one_at_a_time
from twostage.pages.moderators.studies import moderator_table, shown_moderators, study_moderators
from twostage.pages.moderators.tables import moderation_table
from twostage.pages.small_study.analysis import examine_small_studies
from twostage.pages.small_study.tables import adjusted_table, asymmetry_table, smallstudy_sentences
from twostage.params import make_parameters
from twostage.records.record import Record
from twostage.stage2.pool import PooledTable, leave_one_out, patient_flow, pool_records
from twostage.stats.base import attempt


def use(collection: Collection, records: Mapping[str, Sequence[Record]], folder: Path) -> None:
    """Pool records and make tables and sentences of them; whatever fails, fails here."""
    pooled = {name: pool_records(of_studies) for name, of_studies in records.items() if name != "data"}
    for table in pooled.values():
        html_table(pooled_table(table, collection))
        left_out_sentence(table)
        write_pooled(table, str(folder / f"stage2_{table.analysis}"))
    html_table(patient_flow(records["data"]))
    _moderators(collection, records, pooled["lagged"])
    joint = examine_joint(records["lagged"], joint_options(make_parameters({})))
    joint_sentences(joint["robust"], collection)
    show_result(joint["robust"], partial(joint_table, collection=collection))
    for direction, term in (("x_to_y", "x_within"), ("y_to_x", "y_within")):
        _one_effect(collection, pooled["lagged"], direction, term)
    estimates = read_estimates(folder)
    for study in dict.fromkeys(estimates["study"]):
        added = addition(estimates, study)
        addition_table(added, "x", "y")
        sentences(added, "x", "y")


def _moderators(collection: Collection, records: Mapping[str, Sequence[Record]], pooled: PooledTable) -> None:
    table = moderator_table(collection, records["data"])
    html_table(shown_moderators(table))
    found = one_at_a_time(pooled, "x_to_y", table, study_moderators(collection))
    html_table(moderation_table(found, 0.95))


def _one_effect(collection: Collection, pooled: PooledTable, direction: str, term: str) -> None:
    html_table(leave_one_out(pooled, direction, term))
    influence_sentences(examine_influence(pooled, direction, collection))
    small = examine_small_studies(pooled, direction, collection)
    html_table(asymmetry_table(small))
    html_table(adjusted_table(small))
    smallstudy_sentences(small)
    countries = dict(zip(collection.studies["study"], collection.studies["country"], strict=True))
    nested = attempt(pool_in_countries, pooled, countries, direction, term)
    country_sentence(nested)
    show_result(nested, country_table)
