"""From random terms to pieces of the model: structure, starting values, names, and what can be identified."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import check_choice
from twostage.stats.multilevel import structure as mv_structure
from twostage.stats.multilevel.blocks import multipliers
from twostage.stats.multilevel.structure import square
from twostage.stats.multilevel.terms import STRUCTURES, InnerOuter, Nested

# A variance below this share of the smallest sampling variance counts as 0; a correlation matrix whose smallest
# eigenvalue is below, as singular. Newton in a triangular factor ends within about 1e-8 of the edge.
EDGE = 1e-7


@dataclass(frozen=True, eq=False)
class Piece:
    """One independent part of the random effects' covariance.

    Attributes
    ----------
    name : str
        Of the factor, or of the structure.
    kind : str
        "nested" (one variance) or one of CS, HCS, UN, DIAG.
    levels : tuple of str
        Inner levels; for a factor, empty.
    counts : tuple of int
        Groups of a factor; estimates per inner level.
    together : int
        Largest number of inner levels within one outer group.
    pairs : ndarray of int, shape (c, 2), or None
        Row and column of each entry of G; None for a factor and CS.
    map : Linear, Scaled or Factored
    """

    name: str
    kind: str
    levels: tuple[str, ...]
    counts: tuple[int, ...]
    together: int
    pairs: np.ndarray | None = field(repr=False)
    map: object = field(repr=False)

    @property
    def correlated(self):
        """Whether there is a correlation."""
        return self.kind in ("CS", "HCS", "UN")

    def correlations(self, wanted):
        """Those of the correlations wanted that are possible."""
        if not self.correlated:
            return (0.0,)
        low = -1.0 / (self.together - 1.0) if self.kind != "UN" else -1.0 / (len(self.levels) - 1.0)
        return tuple(dict.fromkeys(max(r, 0.7 * low) for r in wanted))

    def start(self, size, rho):
        """Entries with all variances of this size and all correlations rho."""
        if self.kind == "nested":
            return np.array([size])
        if self.kind == "CS":
            return np.array([size, rho * size])
        return np.where(self.pairs[:, 0] == self.pairs[:, 1], size, rho * size)

    def matrix(self, g):
        """Covariance matrix G of the inner levels; for CS of two levels."""
        if self.kind == "CS":
            return np.array([[g[0], g[1]], [g[1], g[0]]])
        return square(g, self.pairs)

    def parameters(self, g):
        """What is reported: variances (c,) and correlations; NaN where a variance is 0."""
        if self.kind == "nested":
            return np.array(g), np.zeros(0)
        G = self.matrix(g)
        tau2 = np.diag(G)[:1] if self.kind == "CS" else np.diag(G)
        if not self.correlated:
            return tau2.copy(), np.zeros(0)
        s = np.sqrt(np.diag(G))
        upper = np.triu_indices(len(G), 1)
        product = np.outer(s, s)[upper]
        rho = np.full(len(product), np.nan)
        np.divide(G[upper], product, out=rho, where=product > 0.0)
        if self.kind == "HCS":
            known = rho[np.isfinite(rho)]
            rho = known[:1] if known.size else np.full(1, np.nan)
        return tau2.copy(), np.clip(rho, -1.0, 1.0)


def make_pieces(terms, struct):
    """Pieces of the model, in the order of :func:`~twostage.stats.multilevel.blocks.multipliers`."""
    pieces = []
    for term in terms:
        if isinstance(term, Nested):
            for i, codes in enumerate(term.codes):
                name, one = "/".join(term.names[: i + 1]), mv_structure.independent(1)
                pieces.append(Piece(name, "nested", (), (int(codes.max()) + 1,), 1, None, one))
        else:
            pieces.append(_inner_piece(term, struct))
    return tuple(pieces)


def _inner_piece(term, struct):
    q = len(term.levels)
    cells = np.unique(np.stack([term.outer, term.inner]), axis=1)
    together = int(np.bincount(cells[0]).max())
    counts = tuple(int(c) for c in np.bincount(term.inner))
    if struct != "DIAG" and together < 2:
        raise ValueError("no outer group has two inner levels: their correlation is not identified; use DIAG")
    if struct == "CS":
        return Piece("CS", struct, term.levels, counts, together, None, mv_structure.compound(together))
    if struct == "HCS":
        made = mv_structure.heteroscedastic(q, together)
        return Piece(struct, struct, term.levels, counts, together, made.pairs, made)
    if struct == "UN":
        _check_pairs(term, cells)
        made = mv_structure.unstructured(q)
        return Piece(struct, struct, term.levels, counts, together, made.pairs, made)
    pairs = mv_structure.level_pairs(q)[:q]
    return Piece(struct, struct, term.levels, counts, together, pairs, mv_structure.independent(q))


def _check_pairs(term, cells):
    present = np.zeros((cells[0].max() + 1, len(term.levels)))
    present[cells[0], cells[1]] = 1.0
    met = present.T @ present
    apart = [
        f"{term.levels[j]} and {term.levels[k]}"
        for j, k in zip(*np.nonzero(met == 0.0), strict=True)
        if j < k
    ]
    if apart:
        raise ValueError(
            f"no outer group has both {'; '.join(apart)}: with UN not identified; use HCS or DIAG"
        )


def check_terms(random, struct, n):
    """The terms as a tuple and the structure in force, or an error saying what is wrong."""
    terms = () if random is None else tuple(random) if isinstance(random, list | tuple) else (random,)
    if not all(isinstance(t, Nested | InnerOuter) for t in terms):
        raise ValueError("random takes what nested() and inner_outer() return, one or a list of them")
    inner = [t for t in terms if isinstance(t, InnerOuter)]
    if len(inner) > 1:
        raise ValueError("only one inner_outer() term is possible")
    if not inner and struct is not None:
        raise ValueError("struct describes an inner_outer() term; there is none")
    struct = "CS" if struct is None else struct
    check_choice("struct", struct, STRUCTURES)
    for term in terms:
        length = len(term.outer) if isinstance(term, InnerOuter) else term.codes.shape[1]
        if length != n:
            raise ValueError(f"a random term has {length} labels for {n} estimates")
        if isinstance(term, Nested):
            single = [m for m, c in zip(term.names, term.codes, strict=True) if c.max() == 0]
            if single:
                raise ValueError(f"factor {single[0]} has a single level: its variance is not identified")
    return terms, struct


def check_identified(terms, struct, pieces):
    """Raise where the entries of the covariance cannot be told apart whatever the estimates are."""
    K = [np.asarray(k, dtype=float).ravel() for t in terms for k in multipliers(t, struct)]
    if not K:
        return
    gram = np.array([[a @ b for b in K] for a in K])
    scale = np.sqrt(np.diag(gram))
    if (scale == 0.0).any():
        raise ValueError("a covariance of the random effects concerns no pair of estimates")
    if np.linalg.eigvalsh(gram / np.outer(scale, scale))[0] < 1e-10:
        names = ", ".join(p.name for p in pieces)
        raise ValueError(f"variance components of {names} group the estimates alike: they are not identified")


def snapped(pieces, g, smallest):
    """The entries g with variances of an unrestricted G that are 0 up to rounding set to 0."""
    g, at = g.copy(), 0
    for piece in pieces:
        size = len(piece.start(1.0, 0.0))
        if piece.kind == "UN":
            own = g[at : at + size]
            zero = np.diag(piece.matrix(own)) <= EDGE * smallest
            own[zero[piece.pairs].any(axis=1)] = 0.0
        at += size
    return g


def singular(pieces, g, smallest):
    """Whether the covariance of the random effects is on the edge of the possible, per piece."""
    flags, at = [], 0
    for piece in pieces:
        size = len(piece.start(1.0, 0.0))
        own = g[at : at + size]
        at += size
        tau2, rho = piece.parameters(own)
        edge = bool((tau2 <= EDGE * smallest).any())
        if piece.kind in ("CS", "HCS") and not edge:
            edge = bool(rho[0] >= 1.0 - EDGE or rho[0] <= -(1.0 - EDGE) / (piece.together - 1.0))
        if piece.kind == "UN" and not edge:
            s = np.sqrt(tau2)
            edge = bool(np.linalg.eigvalsh(piece.matrix(own) / np.outer(s, s))[0] < EDGE)
        flags.append(edge)
    return tuple(flags)
