"""The panel models of stage 1 in lavaan's words, written out for the sessions of a window."""

from collections.abc import Iterator, Sequence
from math import isfinite

from twostage.beside import text_beside

#: Names of the models in the script, in the order in which they are fitted, and what they are.
MODELS = (
    ("riclpm", "random-intercept cross-lagged panel model"),
    ("dpm_x_to_y", "dynamic panel model, from x to y"),
    ("dpm_y_to_x", "dynamic panel model, from y to x"),
    ("riclpm_error", "random-intercept cross-lagged panel model with measurement error"),
)


#: Reliabilities of a session score of x and y, NaN where they are not known, and what they are shares of.
Reliability = tuple[tuple[float, float], str]


def lavaan_lines(x: str, y: str, sessions: Sequence[int], reliability: Reliability) -> Iterator[str]:
    """Lines of R: the scores side by side, the models' syntax, and a function that fits and reports one.

    Parameters
    ----------
    x, y : str
        What the script calls the variables.
    sessions : sequence of int
        Of the window, at least three.
    reliability
        As the registry has it, of the model with measurement error.
    """
    yield f'wide <- reshape(scores[c("patient", "session", "{x}", "{y}")], direction = "wide", idvar = "patient",'
    yield '  timevar = "session", sep = "")'
    for name, words in MODELS:
        yield f"# {words}"
        yield f"{name} <- '"
        models = {"riclpm": lambda: riclpm(x, y, sessions)}
        models |= {"dpm_x_to_y": lambda: dpm(x, y, sessions), "dpm_y_to_x": lambda: dpm(y, x, sessions)}
        models |= {"riclpm_error": lambda: riclpm_error(x, y, sessions, reliability)}
        yield from (f"  {line}" for line in models[name]())
        yield "'"
    yield from _REPORT


#: Started again where it stopped, as lavaan's optimiser may stop early. An error variance below 0 is 0. What did not
#: converge, or has fewer patients than parameters or as many, is no estimate.
_REPORT = text_beside(__file__, ".R").splitlines()


def riclpm(x: str, y: str, sessions: Sequence[int], error: str = "0") -> Iterator[str]:
    """Hamaker et al. (2015): stable levels, and a process around them with the same coefficients at each session.

    The variance of `error` is the same at all sessions; ``{v}`` in it stands for the variable.
    """
    for v in (x, y):
        yield f"level_{v} =~ {' + '.join(f'1*{v}{s}' for s in sessions)}"
    named = "level_var_{v}*" if error != "0" else ""
    yield f"level_{x} ~~ {named.format(v=x)}level_{x} + level_{y}"
    yield f"level_{y} ~~ {named.format(v=y)}level_{y}"
    for s in sessions:
        for v in (x, y):
            yield f"w_{v}{s} =~ 1*{v}{s}"
            yield f"{v}{s} ~~ {error.format(v=v)}*{v}{s}"
            yield f"{v}{s} ~ 1"
    for before, s in zip(sessions, sessions[1:], strict=False):
        for v, other in ((x, y), (y, x)):
            cross, auto = f"b_{other}_to_{v}*w_{other}{before}", f"b_{v}_to_{v}*w_{v}{before}"
            yield f"w_{v}{s} ~ {cross} + {auto}"
    first = ("vx1*", "vxy1*", "vy1*") if error != "0" else ("", "", "")
    for s in sessions:
        q = first if s == sessions[0] else ("qx*", "qxy*", "qy*")
        yield f"w_{x}{s} ~~ {q[0]}w_{x}{s} + {q[1]}w_{y}{s}"
        yield f"w_{y}{s} ~~ {q[2]}w_{y}{s}"


def riclpm_error(x: str, y: str, sessions: Sequence[int], reliability: Reliability) -> Iterator[str]:
    """The same with error in each score; where a reliability is known it gives the error's variance.

    ``vx1``, ``vx2``, ... are the variances of the process of x at each session, which the coefficients make.
    """
    yield from riclpm(x, y, sessions, error="e_{v}")
    known = dict(zip((x, y), reliability[0], strict=True))
    if not any(map(isfinite, known.values())):
        return
    for t in range(1, len(sessions)):
        old, new = (f"vx{t}", f"vxy{t}", f"vy{t}"), (f"vx{t + 1}", f"vxy{t + 1}", f"vy{t + 1}")
        (xx, yx), (xy, yy) = ([f"b_{v}_to_{w}" for v in (x, y)] for w in (x, y))
        yield f"{new[0]} := {xx}^2*{old[0]} + 2*{xx}*{yx}*{old[1]} + {yx}^2*{old[2]} + qx"
        yield f"{new[1]} := {xx}*{xy}*{old[0]} + ({xx}*{yy} + {yx}*{xy})*{old[1]} + {yx}*{yy}*{old[2]} + qxy"
        yield f"{new[2]} := {xy}^2*{old[0]} + 2*{xy}*{yy}*{old[1]} + {yy}^2*{old[2]} + qy"
    for v, short in ((x, "x"), (y, "y")):
        if isfinite(known[v]):
            process = " + ".join(f"v{short}{t + 1}" for t in range(len(sessions)))
            level = f"level_var_{v} + " if reliability[1] == "total" else ""
            yield f"e_{v} == {(1 - known[v]) / known[v]!r}*({level}({process})/{len(sessions)})"


def dpm(x: str, y: str, sessions: Sequence[int]) -> Iterator[str]:
    """Allison et al. (2017): y on x and y of the session before, free of all stable differences between patients."""
    xs, ys = ([f"{v}{s}" for s in sessions] for v in (x, y))
    yield f"stable =~ {' + '.join(f'1*{later}' for later in ys[1:])}"
    for t in range(1, len(sessions)):
        yield f"{ys[t]} ~ b_{x}_to_{y}*{xs[t - 1]} + b_{y}_to_{y}*{ys[t - 1]}"
        yield f"{ys[t]} ~~ q*{ys[t]}"
        yield f"{ys[t]} ~ 1"
        if later := xs[t:-1]:
            yield f"{ys[t]} ~~ {' + '.join(later)}"
    given = [*xs[:-1], ys[0]]
    yield "stable ~~ stable"
    yield f"stable ~~ {' + '.join(given)}"
    for i, name in enumerate(given):
        yield f"{name} ~~ {' + '.join(given[i:])}"
        yield f"{name} ~ 1"
