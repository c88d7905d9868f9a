"""Small-study effects: Egger, rank correlation, trim and fill, PET-PEESE, selection models, funnel and radial plots."""

from twostage.stats.small_study.egger import egger
from twostage.stats.small_study.funnel import Funnel, funnel
from twostage.stats.small_study.petpeese import petpeese
from twostage.stats.small_study.radial import Radial, radial
from twostage.stats.small_study.rank import rank_test
from twostage.stats.small_study.selection import selection_model
from twostage.stats.small_study.trimfill import TrimFill, trimfill

__all__ = [
    "Funnel",
    "Radial",
    "TrimFill",
    "egger",
    "funnel",
    "petpeese",
    "radial",
    "rank_test",
    "selection_model",
    "trimfill",
]
