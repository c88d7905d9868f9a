"""Which formulas of moderators are accepted: a small grammar, checked before anything of a formula is evaluated.

formulaic evaluates what stands in a formula's calls as Python, with the columns as its variables; a formula from
somewhere else could write a file by ``year.values.tofile('x')``. So a formula is read here first, and what is not in the
grammar is refused.
"""

import ast
import re

from formulaic.errors import FormulaicError
from formulaic.parser.algos.tokenize import tokenize

from twostage.problems import Problem

ACCEPTED = (
    "names of columns (in backquotes where they are no plain words), + : * - ( ), a power such as (a + b)**2, 0 or 1, "
    'C(a), C(a, contr.treatment("level")), log(a), center(a) and I(a**2)'
)


#: Longest formula; a longer one could only exhaust the parser.
LONGEST = 1000


_OPERATORS = {"~", "+", "-", ":", "*", "**", "^"}


_CALLS = {"C", "log", "center", "I"}


_QUOTED = re.compile("`([^`]*)`")


def refused(formula: str) -> Problem | None:
    """Why a formula is not accepted, or None.

    Parameters
    ----------
    formula : str
        One that has a ``~`` in front, or none.
    """
    if not isinstance(formula, str) or len(formula) > LONGEST:
        return Problem("formula", None, None, str(formula)[:80], f"a formula of at most {LONGEST} characters")
    try:
        strange = next((text for text in map(_strange, *_tokens(formula)) if text), None)
    except (FormulaicError, SyntaxError, ValueError, RecursionError) as error:
        strange = str(error).splitlines()[0] if str(error) else type(error).__name__
    if strange is None:
        return None
    return Problem("formula", None, None, formula, f"a formula of {ACCEPTED}; this is none of it: {strange}")


def _tokens(formula: str) -> tuple[list, list]:
    tokens = list(tokenize(formula))
    return tokens, [set(_QUOTED.findall(formula))] * len(tokens)


def _strange(token, quoted: set[str]) -> str:
    """The part of a formula that is not in the grammar; empty if it is."""
    kind, text = token.kind.value, token.token
    accepted = {
        "operator": text in _OPERATORS,
        "context": text in "()",
        "name": text.isidentifier() or text in quoted,
        "value": re.fullmatch("[0-9]", text) is not None,
        "python": kind == "python" and _is_call(text),
    }
    return "" if accepted.get(kind, False) else text


def _is_call(text: str) -> bool:
    """Whether Python code is one of the calls of the grammar, of columns and constants alone."""
    # A name in backquotes is no Python; what it is called does not matter here.
    tree = ast.parse(_QUOTED.sub("column", text), mode="eval").body
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.func.id not in _CALLS:
        return False
    if tree.keywords or not tree.args:
        return False
    first, *rest = tree.args
    if tree.func.id == "I":
        return (
            not rest
            and isinstance(first, ast.BinOp)
            and isinstance(first.op, ast.Pow)
            and isinstance(first.left, ast.Name)
            and isinstance(first.right, ast.Constant)
            and isinstance(first.right.value, int)
            and 0 < first.right.value < 10
        )
    if not isinstance(first, ast.Name):
        return False
    return not rest or (tree.func.id == "C" and len(rest) == 1 and _is_contrast(rest[0]))


def _is_contrast(node: ast.expr) -> bool:
    """``contr.treatment("level")``."""
    if not isinstance(node, ast.Call) or node.keywords or len(node.args) != 1:
        return False
    level = node.args[0]
    constant = isinstance(level, ast.Constant) and isinstance(level.value, str | int)
    return constant and ast.unparse(node.func) == "contr.treatment"
