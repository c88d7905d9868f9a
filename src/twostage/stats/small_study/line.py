"""A straight line through estimates of known relative precision: weights 1/v, residual variance estimated."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base import NotEstimable, frame, html, one_row, wald

# Share of a predictor's length that rounding leaves of a constant one.
CONSTANT = 1e-12


# Weighted residual sum of squares, relative to that of y, that rounding leaves of an exact fit.
EXACT = (64.0 * np.finfo(float).eps) ** 2


@dataclass(frozen=True)
class Line:
    """Weighted least squares fit of ``y = intercept + slope x``; t with `df` = k - 2 degrees of freedom.

    Attributes
    ----------
    predictor : str
    intercept, intercept_se, intercept_statistic, intercept_p_value : float
    intercept_ci_low, intercept_ci_high : float
    slope, slope_se, slope_statistic, slope_p_value, slope_ci_low, slope_ci_high : float
    df : int
    dispersion : float
        Weighted residual sum of squares over df.
    level : float
    note : str
    """

    predictor: str
    intercept: float
    intercept_se: float
    intercept_statistic: float
    intercept_p_value: float
    intercept_ci_low: float
    intercept_ci_high: float
    slope: float
    slope_se: float
    slope_statistic: float
    slope_p_value: float
    slope_ci_low: float
    slope_ci_high: float
    df: int
    dispersion: float
    level: float
    note: str = ""

    def tidy(self):
        """Two rows: intercept and predictor."""
        names = {"std_error": "se"} | {n: n for n in ("statistic", "p_value", "ci_low", "ci_high")}
        rows = []
        for term, part in (("intercept", "intercept"), (self.predictor, "slope")):
            row = {"term": term, "estimate": getattr(self, part), "df": self.df}
            rows.append(row | {name: getattr(self, f"{part}_{end}") for name, end in names.items()})
        return frame(rows)

    def glance(self):
        """One row: df, dispersion, level, note."""
        return one_row(self, ("df", "dispersion", "level", "note"))

    def _repr_html_(self):
        return html("Weighted regression line", self.tidy(), note=self.note)


def weighted_line(y, v, x, *, predictor, level):
    """Fit the line.

    Parameters
    ----------
    y, v, x : ndarray, shape (k,)
        Checked already; at least three studies.
    predictor : str
        Name of x.
    level : float

    Returns
    -------
    Line

    Raises
    ------
    NotEstimable
        x is the same for every study.

    Notes
    -----
    Weights ``w = 1/v``; ``s = RSS / (k-2)`` scales the variances, ``s / Sxx`` for the slope and
    ``s (1 / sum w + mean_x^2 / Sxx)`` for the intercept. Checked against R's ``lm``.
    """
    w = 1.0 / v
    sum_w = w.sum()
    mean_x = float(w @ x / sum_w)
    dx = x - mean_x
    sxx = float(w @ dx**2)
    if sxx <= CONSTANT**2 * float(w @ x**2):
        raise NotEstimable(f"predictor {predictor} is the same for every study: there is no line to fit")
    centre = np.median(y)
    mean_y = float(w @ (y - centre) / sum_w)
    dy = y - centre - mean_y
    slope = float(w @ (dx * dy)) / sxx
    rss = float(w @ (dy - slope * dx) ** 2)
    perfect = rss <= EXACT * float(w @ y**2)
    dispersion = 0.0 if perfect else rss / (len(y) - 2)
    intercept = float(centre) + mean_y - slope * mean_x
    errors = np.sqrt(dispersion * (1.0 / sum_w + mean_x**2 / sxx)), np.sqrt(dispersion / sxx)
    parts = [
        (b, float(e), *map(float, wald(b, float(e), len(y) - 2, level).values()))
        for b, e in zip((intercept, slope), errors, strict=True)
    ]
    note = "the line fits exactly: standard errors are 0" if perfect else ""
    first, second = parts
    return Line(predictor, *first, *second, len(y) - 2, dispersion, level, note)
