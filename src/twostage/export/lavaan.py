"""The panel models of stage 1 in lavaan's words, written out for the sessions of a window."""

from collections.abc import Iterator, Sequence

from twostage.beside import text_beside

#: Names of the models in the script, in the order in which they are fitted, and what they are.
MODELS = (
    ("riclpm", "random-intercept cross-lagged panel model"),
    ("dpm_x_to_y", "dynamic panel model, from x to y"),
    ("dpm_y_to_x", "dynamic panel model, from y to x"),
)


def lavaan_lines(x: str, y: str, sessions: Sequence[int]) -> Iterator[str]:
    """Lines of R: the scores side by side, the models' syntax, and a function that fits and reports one.

    Parameters
    ----------
    x, y : str
        What the script calls the variables.
    sessions : sequence of int
        Of the window, at least three.
    """
    yield f'wide <- reshape(scores[c("patient", "session", "{x}", "{y}")], direction = "wide", idvar = "patient",'
    yield '  timevar = "session", sep = "")'
    for name, words in MODELS:
        yield f"# {words}"
        yield f"{name} <- '"
        models = {"riclpm": lambda: riclpm(x, y, sessions)}
        models |= {"dpm_x_to_y": lambda: dpm(x, y, sessions), "dpm_y_to_x": lambda: dpm(y, x, sessions)}
        yield from (f"  {line}" for line in models[name]())
        yield "'"
    yield from _REPORT


#: Started again where it stopped, as lavaan's optimiser may stop early. What did not converge, or has
#: fewer patients than parameters or as many, is no estimate.
_REPORT = text_beside(__file__, ".R").splitlines()


def riclpm(x: str, y: str, sessions: Sequence[int]) -> Iterator[str]:
    """Hamaker et al. (2015): stable levels, and a process around them with the same coefficients at each session."""
    for v in (x, y):
        yield f"level_{v} =~ {' + '.join(f'1*{v}{s}' for s in sessions)}"
    yield f"level_{x} ~~ level_{x} + level_{y}"
    yield f"level_{y} ~~ level_{y}"
    for s in sessions:
        for v in (x, y):
            yield f"w_{v}{s} =~ 1*{v}{s}"
            yield f"{v}{s} ~~ 0*{v}{s}"
            yield f"{v}{s} ~ 1"
    for before, s in zip(sessions, sessions[1:], strict=False):
        for v, other in ((x, y), (y, x)):
            cross, auto = f"b_{other}_to_{v}*w_{other}{before}", f"b_{v}_to_{v}*w_{v}{before}"
            yield f"w_{v}{s} ~ {cross} + {auto}"
    for s in sessions:
        q = ("", "", "") if s == sessions[0] else ("qx*", "qxy*", "qy*")
        yield f"w_{x}{s} ~~ {q[0]}w_{x}{s} + {q[1]}w_{y}{s}"
        yield f"w_{y}{s} ~~ {q[2]}w_{y}{s}"


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
