"""The cross-lagged effects pooled by Bayes's theorem: the priors with their sources, and other priors beside them."""

from dataclasses import dataclass

from twostage.stage2 import Attempt, PooledTable, attempt, named_fit
from twostage.stats.bayes import BayesFit, TauPrior, bayes_pool
from twostage.terms import DIRECTIONS


@dataclass(frozen=True)
class Priors:
    """What is believed of the effects beforehand, in their unit, and why.

    Attributes
    ----------
    tau : TauPrior
    mean_sd : float
        Of the normal prior of the mean effect, whose mean is 0; infinite: uniform.
    least : float
        The smallest effect of interest; 0 where the unit gives none.
    others : tuple of (TauPrior, float)
        Priors of tau, and standard deviations of the mean effect's, of which the result is shown too.
    source : str
        Where they come from, in a sentence.
    """

    tau: TauPrior
    mean_sd: float
    least: float
    others: tuple[tuple[TauPrior, float], ...]
    source: str


#: Of effects in standard deviations. The sizes of N(0, 0.1^2) have quartiles of .03, .07 and .12 (0.032, 0.067, 0.115),
#: remembered as the benchmarks of Orth et al. (2024, doi:10.1037/met0000499, Psychological Methods 29(2), 421-433). The
#: article's text was not at hand to check them, and the page says so. How far effects lie apart over all of psychology
#: bounds how far studies of one pair of variables do.
STANDARDIZED = Priors(
    tau=TauPrior("half-normal", 0.1),
    mean_sd=0.1,
    least=0.03,
    others=(
        (TauPrior("half-normal", 0.05), 0.1),
        (TauPrior("half-normal", 0.2), 0.2),
        (TauPrior("half-cauchy", 0.1), 0.1),
        (TauPrior("half-t", 0.1, 4), 0.1),
        (TauPrior("uniform"), float("inf")),
    ),
    source=(
        "The mean effect has the prior N(0, 0.1²): half of its effects are smaller than .07, a quarter smaller than .03, "
        "and one in twenty is larger than .20. How large cross-lagged effects usually are is the subject of Orth et al. "
        "(2024, doi:10.1037/met0000499); that these sizes are theirs was not checked against the article's text. The "
        "smallest effect of interest, .03, is a choice of this package. The standard deviation between studies has a "
        "half-normal prior with scale 0.1: two thirds of it lie below the spread of the mean effect's prior."
    ),
)


#: Of effects in the scales' own units, where nothing is known beforehand.
UNKNOWN = Priors(
    tau=TauPrior("uniform"),
    mean_sd=float("inf"),
    least=0.0,
    others=(),
    source=(
        "Effects in scale points have no size that is known beforehand: the priors of the mean effect and of the standard "
        "deviation between studies are uniform, which takes at least three studies; no effect is called the smallest of "
        "interest."
    ),
)


def priors_for(standardize: str) -> Priors:
    """The priors of effects that were standardized as the parameter says."""
    return UNKNOWN if standardize == "none" else STANDARDIZED


def examine_bayes(pooled: PooledTable, priors: Priors) -> dict[str, Attempt]:
    """Both cross-lagged effects under the priors: direction -> Attempt of BayesFit."""
    return {d: attempt(_pool, pooled, d, priors.tau, priors.mean_sd) for d in DIRECTIONS}


def examine_priors(pooled: PooledTable, priors: Priors) -> dict[str, list[Attempt]]:
    """The same under the other priors."""
    return {d: [attempt(_pool, pooled, d, *other) for other in priors.others] for d in DIRECTIONS}


def _pool(pooled: PooledTable, direction: str, tau: TauPrior, sd: float) -> BayesFit:
    fit = named_fit(pooled, direction)
    return bayes_pool(fit.y, fit.v, prior=tau, sd=sd, level=pooled.level, labels=fit.labels)
