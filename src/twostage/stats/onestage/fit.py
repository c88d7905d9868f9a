"""The one-stage model of a lagged effect in many studies."""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from twostage.stats.base import NotEstimable, check_choice, check_level
from twostage.stats.onestage.inference import INFERENCES, infer
from twostage.stats.onestage.pieces import Pieces
from twostage.stats.onestage.results import OneStageFit
from twostage.stats.onestage.search import minimise
from twostage.stats.onestage.sums import StudySums

VARIANCES = ("separate", "common")


def fit_onestage(
    studies: Sequence[StudySums],
    random: Sequence[str],
    *,
    labels: Sequence[str] | None = None,
    variances: str = "separate",
    inference: str = "hartung-knapp",
    level: float = 0.95,
) -> OneStageFit:
    """Fit one linear mixed model to all patients of all studies, by exact restricted maximum likelihood.

    In study s, patient i, row t, with the random slopes' columns z and all other predictors x (the intercept among them)::

        y = x'a_s + z'b_s + u_i + e,   b_s ~ N(beta, Sigma),   u_i ~ N(0, omega2_s),   e ~ N(0, sigma2_s)

    Parameters
    ----------
    studies : sequence of StudySums
        With the same columns.
    random : sequence of str
        Columns whose slopes have a mean and a covariance over studies (unstructured); every other coefficient is the
        study's own.
    labels : sequence of str, optional
        Of the studies.
    variances : {"separate", "common"}
        Whether each study has its own residual and intercept variance, or all have the same.
    inference : {"hartung-knapp", "kenward-roger", "wald"}
        Errors and degrees of freedom on the number of studies (:mod:`twostage.stats.onestage.inference`); `wald` takes the
        variance over studies as known. Kenward and Roger's is the widest where the studies are few and unequal.
    level : float

    Returns
    -------
    OneStageFit

    Raises
    ------
    NotEstimable
        Fewer than two studies, or one in which the model cannot be fitted (named).
    ValueError
        Columns that differ or are not there.

    Notes
    -----
    The study's own intercept and effects of person means keep differences between studies out of the mean slopes
    (stratified, as Legha et al. 2018, doi:10.1002/sim.7930, recommend); both lagged slopes are alike in what they are and
    have both a mean over studies. Checked against nlme's ``lme`` with ``varIdent`` and lme4's ``lmer``
    (tests/reference/onestage.R).

    Examples
    --------
    >>> import numpy as np
    >>> from twostage.stats.mixed import MixedSums
    >>> from twostage.stats.onestage import StudySums, fit_onestage
    >>> rng, studies = np.random.default_rng(3), []
    >>> patient = np.repeat(np.arange(60), 5)
    >>> for slope in rng.normal(0.3, 0.1, size=8):
    ...     x = rng.normal(size=300)
    ...     y = slope * x + rng.normal(size=60)[patient] + rng.normal(size=300)
    ...     rows = MixedSums(("intercept", "x")).add(y, np.column_stack([np.ones(300), x]), patient)
    ...     studies.append(StudySums.of(rows))
    >>> fit = fit_onestage(studies, ["x"])
    >>> fit.tidy()[["term", "estimate", "std_error", "df", "tau"]].round(2)
      term  estimate  std_error   df  tau
    0    x      0.23       0.07  7.0  0.2
    """
    check_choice("variances", variances, VARIANCES)
    check_choice("inference", inference, INFERENCES)
    check_level(level)
    random, names = tuple(random), _names(studies, labels)
    ordered = [_ordered(study, random) for study in studies]
    if len(ordered) < 2:
        raise NotEstimable(f"{len(ordered)} study: a mean and a variance over studies need two")
    for study, name in zip(ordered, names, strict=True):
        study.check(name)
    pieces = Pieces.of(ordered, len(random))
    found = minimise(pieces, variances == "common")
    state = found.state
    cov, df = infer(state, inference)
    std_error, sigma2 = np.sqrt(np.diagonal(cov)), np.exp(state.l)
    shrunk = state.L @ state.L.T @ state.W
    return OneStageFit(
        names=random,
        labels=names,
        coef=state.beta,
        std_error=std_error,
        df=df,
        **_t(state.beta, std_error, df, level),
        cov_coef=cov,
        cov_model=state.K,
        cov_re=state.L @ state.L.T,
        sigma2=sigma2,
        re_variance=sigma2 * state.t,
        slopes=state.own.slope,
        slope_errors=np.sqrt(np.einsum("kii->ki", state.own.cov)),
        study_slopes=state.beta + np.einsum("kij,kj->ki", shrunk, state.apart),
        weights=np.einsum("ij,kji->ki", state.K, state.W),
        loglik=-0.5 * state.value,
        variances=variances,
        inference=inference,
        level=level,
        n_obs=int(sum(s.n for s in ordered)),
        n_groups=int(sum(s.n_groups for s in ordered)),
        joined=tuple(bool(s.joined.any()) for s in ordered),
        converged=found.converged,
        optimiser=found.record,
    )


def _t(estimate, std_error, df, level) -> dict[str, np.ndarray]:
    """Tests and intervals; df below 1, of a mean that rests on one study, give intervals as wide as that deserves."""
    statistic, half = estimate / std_error, stdtrit(df, 0.5 + level / 2.0) * std_error
    p_value = 2.0 * stdtr(df, -np.abs(statistic))
    return {"statistic": statistic, "p_value": p_value, "ci_low": estimate - half, "ci_high": estimate + half}


def _names(studies, labels) -> tuple[str, ...]:
    names = tuple(str(i) for i in range(len(studies))) if labels is None else tuple(map(str, labels))
    if len(names) != len(studies):
        raise ValueError(f"{len(names)} labels for {len(studies)} studies")
    if len(columns := {study.names for study in studies}) > 1:
        raise ValueError(
            f"studies with different columns: {'; '.join(', '.join(c) for c in sorted(columns))}"
        )
    return names


def _ordered(study: StudySums, random: tuple[str, ...]) -> StudySums:
    """The study's columns with the random slopes last among the predictors."""
    predictors, outcome = study.names[:-1], study.names[-1]
    if not random or len(set(random)) < len(random) or not set(random) <= set(predictors):
        raise ValueError(
            f"random must name some of {', '.join(predictors)}, each once; got {', '.join(random)}"
        )
    return study.columns((*(n for n in predictors if n not in random), *random, outcome))
