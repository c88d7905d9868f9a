"""Linear mixed models with one grouping factor: exact (restricted) maximum likelihood, fast."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from twostage.stats.base import NotEstimable, OptimiserRecord, check_level, frame
from twostage.stats.mixed.criterion import Criterion, Evaluation
from twostage.stats.mixed.design import (
    Design,
    WorkingBasis,
    check_design,
    is_well_conditioned,
    orthogonalise,
    working_basis,
)
from twostage.stats.mixed.optimiser import ConePoint, Face, face_at, minimise_deviance
from twostage.stats.mixed.sums import (
    CollapsedGroups,
    CrossProducts,
    StackedGroups,
    collapsed,
    cross_products,
    gram_of,
)

# Random-effect columns (unit spread) whose mean cross-product has an eigenvalue below this share of the
# largest are dependent: rounding leaves 1e-16, and a covariance along such a direction is not estimable.
DEPENDENT_EFFECTS = 1e-11


# y's spread within groups below this share of its spread is rounding: about 100 times the machine's
# precision.
NO_SPREAD = 2e-14


# Curvature eigenvalues below this share of the largest belong to directions the data say nothing about.
FLAT = 1e-11


# A fit is called singular when some combination of random effects (of columns with unit spread) has less
# than this standard deviation, in residual standard deviations: lme4's own tolerance. Exact zeros are the
# usual case.
SINGULAR = 1e-4


@dataclass(frozen=True)
class Working:
    """A model ready to fit.

    Attributes
    ----------
    sums : callable
        ``sums(T)`` returns `GroupSums`.
    gram : (q, q) array
        Mean of Z_i'Z_i over groups.
    n, n_groups : int
        Rows and groups.
    x_turn, offset : (p, p), (p,) arrays
        Coefficients = x_turn @ working coefficients + offset.
    z_turn : (q, q) array
        T = z_turn @ working T @ z_turn.T.
    log_det : float
        Added to log|X'V^-1 X| of the working columns to give the caller's.
    """

    sums: CollapsedGroups | StackedGroups
    gram: np.ndarray
    n: int
    n_groups: int
    x_turn: np.ndarray
    offset: np.ndarray
    z_turn: np.ndarray
    log_det: float

    @property
    def p(self) -> int:
        """Fixed effects."""
        return len(self.offset)

    def criterion(self, reml: bool) -> Criterion:
        """The profiled deviance of this model."""
        return Criterion(self.sums, self.n, self.p, self.n_groups, reml, self.log_det)

    def start(self) -> np.ndarray:
        """Starting T: between-group spread as large as the residual's, in every direction."""
        if len(self.gram) == 1:
            return 1.0 / self.gram
        values = np.linalg.eigvalsh(self.gram)
        if values[0] <= DEPENDENT_EFFECTS * values[-1]:
            raise NotEstimable(
                "columns of Z are collinear within every group: their covariance is not defined"
            )
        return np.linalg.inv(self.gram)


def mean_gram(products: CrossProducts) -> np.ndarray:
    """Mean of Z_i'Z_i over groups, (q, q)."""
    triangles = products.triangles
    return sum(gram_of(row) for row in triangles) / triangles.shape[2]


def prepare(design: Design) -> Working:
    """Reduce the data to cross-products in a well-conditioned basis.

    Raises
    ------
    ValueError
        If columns of X are collinear, the fixed effects reproduce y, or y does not vary within groups.
    """
    basis = working_basis(design)
    x_turn, offset, log_det = basis.x_turn, basis.offset, 0.0
    products = _reduce(design, basis)
    total = products.total()
    if not is_well_conditioned(total):
        straight = orthogonalise(design, basis)
        offset = offset + x_turn @ straight.coefficients
        x_turn = x_turn @ np.linalg.inv(straight.triangle)
        log_det = 2.0 * float(np.log(np.abs(np.diagonal(straight.triangle))).sum())
        products = _reduce(straight.design, basis.without_shift())
        total = products.total()
    refuse_no_spread(products.within, total)
    sizes, n = design.grouping.sizes, len(design.y)
    sums = collapsed(products, sizes) if products.constant else StackedGroups(products)
    return Working(sums, mean_gram(products), n, len(sizes), x_turn, offset, basis.z_turn, log_det)


def refuse_no_spread(within: np.ndarray, total: np.ndarray) -> None:
    """Raise NotEstimable where nothing of y is left within groups; cross-products of [X y]."""
    if within[-1, -1] <= NO_SPREAD**2 * total[-1, -1]:
        raise NotEstimable(
            "y does not vary within groups beyond the random effects: the residual variance is zero"
        )


def _reduce(design: Design, basis: WorkingBasis) -> CrossProducts:
    write = basis.writer(design)
    return cross_products(write, design.q, len(basis.offset) + 1, basis.constant_first, design.grouping)


def satterthwaite(point: ConePoint, at: Evaluation, p: int, contrasts: np.ndarray) -> np.ndarray:
    """Degrees of freedom of linear functions of the fixed effects.

    Parameters
    ----------
    point : ConePoint
        The estimate of T.
    at : Evaluation
        The deviance's derivatives there.
    p : int
        Number of fixed effects.
    contrasts : (c, p) array
        One linear function per row, in the working basis of the fixed effects.

    Returns
    -------
    (c,) array

    Notes
    -----
    ``df = 2 v^2 / (g' A g)`` with v = l'C l, C = sigma2 (X'V^-1 X)^-1, g its gradient in the variance
    parameters and A twice the inverse Hessian of the deviance in them (Fai & Cornelius 1996,
    doi:10.1080/00949659608811740; Kuznetsova, Brockhoff & Christensen 2017, doi:10.18637/jss.v082.i13).
    The variance parameters are log(sigma2) and the movements E of T that keep its rank, with the bend
    of the cone's boundary (`mixed_face`). lmerTest differentiates numerically in the Cholesky factor of
    T, which gives the same number whenever that factor moves over all matrices of T's rank.
    """
    face = face_at(point)
    curvature = _joint_curvature(face, at, p)
    half = contrasts @ at.inverse_root[:p, :p].T
    variance = (half**2).sum(axis=1)
    along = np.einsum("ci,aij,cj->ac", half, at.spread[:, :p, :p], half)
    gradient = np.concatenate([variance[None], face.coordinates @ along])
    values, vectors = np.linalg.eigh(curvature)
    kept = values > FLAT * values[-1]
    turned = vectors[:, kept].T @ gradient
    return variance**2 / ((turned**2) / values[kept][:, None]).sum(axis=0)


def _joint_curvature(face: Face, at: Evaluation, p: int) -> np.ndarray:
    """Second derivatives of the unprofiled deviance in (log sigma2, moves of T)."""
    fit = face.coordinates @ at.spread[:, p, p]
    curvature = np.empty((len(fit) + 1, len(fit) + 1))
    curvature[0, 0] = at.nu
    curvature[0, 1:] = curvature[1:, 0] = at.nu * fit
    curvature[1:, 1:] = face.hessian(at.gradient, at.hessian) + at.nu * np.outer(fit, fit)
    return curvature


class TInference:
    """Tests and intervals of `coef` from `std_error` and `df`, arrays (..., p)."""

    @property
    def statistic(self) -> np.ndarray:
        """t statistics of coef = 0, (..., p)."""
        return self.coef / self.std_error

    @property
    def p_value(self) -> np.ndarray:
        """Two-sided p values of coef = 0 on `df` degrees of freedom, (..., p)."""
        return 2.0 * stdtr(self.df, -np.abs(self.statistic))

    def conf_int(self, level: float = 0.95) -> np.ndarray:
        """Confidence intervals, (..., p, 2), from the t distribution on `df` degrees of freedom."""
        half = stdtrit(self.df, 0.5 + check_level(level) / 2) * self.std_error
        return np.stack([self.coef - half, self.coef + half], axis=-1)


@dataclass(frozen=True)
class MixedFit(TInference):
    """A fitted linear mixed model.

    Attributes
    ----------
    names : tuple of str
        The p fixed effects.
    coef, std_error, df : (p,) arrays
        Estimates, standard errors, Satterthwaite degrees of freedom.
    cov_coef : (p, p) array
        Covariance matrix of the coefficients.
    cov_re : (q, q) array
        Covariance matrix of the random effects, in units of y squared over units of Z's columns.
    sigma2 : float
        Residual variance.
    loglik : float
        Log-likelihood, restricted when `reml`; constants as in lme4.
    reml : bool
        Restricted maximum likelihood (True) or maximum likelihood (False).
    converged : bool
        Whether the optimiser reached its tolerance.
    singular : bool
        Whether `cov_re` lies on the boundary: a variance of zero or a correlation of one. An ordinary result.
    n_obs, n_groups : int
        Rows and groups.
    optimiser : OptimiserRecord
        How the optimum was found.
    """

    names: tuple[str, ...]
    coef: np.ndarray
    std_error: np.ndarray
    df: np.ndarray
    cov_coef: np.ndarray
    cov_re: np.ndarray
    sigma2: float
    loglik: float
    reml: bool
    converged: bool
    singular: bool
    n_obs: int
    n_groups: int
    optimiser: OptimiserRecord

    def tidy(self, level: float = 0.95):
        """One row per fixed effect: term, estimate, std_error, df, statistic, p_value, ci_low, ci_high."""
        low, high = self.conf_int(level).T
        columns = {"term": self.names, "estimate": self.coef, "std_error": self.std_error, "df": self.df}
        columns |= {"statistic": self.statistic, "p_value": self.p_value, "ci_low": low, "ci_high": high}
        return frame(columns)

    def glance(self):
        """One row for the fit: sizes, likelihood, residual variance and how the optimiser ended."""
        row = {name: getattr(self, name) for name in ("n_obs", "n_groups", "sigma2", "loglik", "reml")}
        row |= {"converged": self.converged, "singular": self.singular}
        return frame([row | {"evaluations": self.optimiser.evaluations}])

    def _repr_html_(self) -> str:
        """The table of fixed effects with a line on the fit."""
        kind = "REML" if self.reml else "ML"
        state = "converged" if self.converged else f"NOT CONVERGED ({self.optimiser.message})"
        edge = ", singular (boundary) fit" if self.singular else ""
        line = f"{kind}: {self.n_obs} rows, {self.n_groups} groups, log-likelihood {self.loglik:.4f}; {state}{edge}"
        return f"{self.tidy().to_html(index=False)}<p>{escape(line)}</p>"


def fit_mixed(
    y: ArrayLike,
    X: ArrayLike,
    groups: Sequence[Hashable] | np.ndarray,
    Z: ArrayLike | None = None,
    *,
    reml: bool = True,
    names: Sequence[str] | None = None,
) -> MixedFit:
    """Fit a linear mixed model with one grouping factor.

    ``y_i = X_i b + Z_i u_i + e_i``, u_i ~ N(0, cov_re), e_i ~ N(0, sigma2 I), i a group.

    Parameters
    ----------
    y : (n,) array
        Response.
    X : (n, p) array
        Fixed effects' columns; include a column of ones for an intercept.
    groups : (n,) sequence of hashable labels
        Group of each row, in any order.
    Z : (n, q) array, optional
        Random effects' columns, q at most 4, unstructured covariance. Default: a column of ones
        (random intercept).
    reml : bool
        Restricted maximum likelihood (default) or maximum likelihood.
    names : sequence of str, optional
        Names of X's columns. Default: its `columns` if it has them, else x0, x1, ...

    Returns
    -------
    MixedFit

    Raises
    ------
    ValueError
        If an array has the wrong shape or a value that is not finite, a group label is missing,
        columns of X are collinear (they are named), q is not 1 to 4, there are fewer rows than
        parameters, fewer than two groups, no more rows than random effects (as lme4: among others
        when every group has one row), or no residual variance.

    Notes
    -----
    Minimises the profiled deviance of Bates, Maechler, Bolker & Walker (2015),
    doi:10.18637/jss.v067.i01, over the cone of positive semidefinite relative covariances with exact
    first and second derivatives; boundary solutions are found exactly and flagged `singular`. Degrees
    of freedom follow Kuznetsova, Brockhoff & Christensen (2017), doi:10.18637/jss.v082.i13. Checked
    against lme4 and lmerTest (coefficients, standard errors, variance components and log-likelihood to
    1e-6, degrees of freedom to 1e-3) on sleepstudy, Orthodont and lagged panels, singular fits
    included, and on random small data sets by lme4's own deviance function.

    Examples
    --------
    Four patients' scores over three sessions, with a random intercept:

    >>> import numpy as np
    >>> import twostage as ts
    >>> session = np.tile([0.0, 1.0, 2.0], 4)
    >>> scores = [20, 17, 15, 25, 24, 20, 18, 17, 16, 30, 26, 25]
    >>> design = np.column_stack([np.ones(12), session])
    >>> fit = ts.fit_mixed(scores, design, np.repeat(["a", "b", "c", "d"], 3), names=["intercept", "session"])
    >>> fit.tidy()[["term", "estimate", "std_error", "df"]].round(3)
            term  estimate  std_error     df
    0  intercept    23.208      2.429  3.122
    1    session    -2.125      0.342  7.000
    """
    design = check_design(y, X, groups, Z, names)
    return fit_working(prepare(design), design.names, bool(reml))


def fit_working(working: Working, names: tuple[str, ...], reml: bool) -> MixedFit:
    """The fit of a model that has been reduced to sums, wherever these come from."""
    optimum = minimise_deviance(working.criterion(reml), working.start())
    at, p = optimum.at, working.p
    half = working.x_turn @ at.inverse_root[:p, :p].T
    cov_coef = at.sigma2 * half @ half.T
    residual_row = -at.inverse_root[p, :p] / at.inverse_root[p, p]
    factor = working.z_turn @ optimum.point.factor
    return MixedFit(
        names=names,
        coef=working.x_turn @ residual_row + working.offset,
        std_error=np.sqrt(np.diagonal(cov_coef)),
        df=satterthwaite(optimum.point, at, p, working.x_turn),
        cov_coef=cov_coef,
        cov_re=at.sigma2 * factor @ factor.T,
        sigma2=at.sigma2,
        loglik=-0.5 * at.value,
        reml=reml,
        converged=optimum.converged,
        singular=optimum.point.least < SINGULAR,
        n_obs=working.n,
        n_groups=working.n_groups,
        optimiser=optimum.record,
    )
