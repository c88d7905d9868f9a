"""Stage 1 of a study that is read in pieces (:class:`twostage.collection.LargeStudy`).

The functions of :mod:`twostage.stage1` take such a study or its panel as any other: here are their ways for it, which they
choose by its type. panel.py treats the pieces, equations.py fits the models of :mod:`twostage.stage1.equations` to sums
over them, estimators.py those of :mod:`twostage.stage1.estimators`, description.py counts. What they give is what the same
study gives in memory, to rounding; what only memory can do (the jackknife, whose standard error draws patients again and
again) they report as a failure with its reason.
"""

from twostage.stage1.large.description import describe
from twostage.stage1.large.equations import crosslevel
from twostage.stage1.large.estimators import estimators
from twostage.stage1.large.panel import LargePanel, Treatment

__all__ = ["LargePanel", "Treatment", "crosslevel", "describe", "estimators"]
