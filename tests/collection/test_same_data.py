"""One study's scores are recognised under another name, and no other study's are."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from twostage.collection.same_data import duplicates, overlaps, patient_series, scores_digest

SCORE = st.none() | st.integers(0, 3)
SERIES = st.dictionaries(st.integers(1, 4), st.tuples(SCORE, SCORE), min_size=1, max_size=3)
STUDIES = st.lists(SERIES, min_size=1, max_size=4)


def table(series: list[dict], names: list[str]) -> pd.DataFrame:
    rows = [(name, s, *scores) for name, of in zip(names, series, strict=True) for s, scores in of.items()]
    return pd.DataFrame(rows, columns=["patient", "session", "x", "y"]).astype({"x": float, "y": float})


def scored(series: list[dict]) -> list:
    """The study without its names and empty rows, comparable by hand."""
    rows = [sorted((s, *map(str, pair)) for s, pair in of.items() if pair != (None, None)) for of in series]
    return sorted(row for row in rows if row)


@given(STUDIES, st.randoms(use_true_random=False))
def test_names_and_order_do_not_matter(series, random):
    names = [f"p{i}" for i in range(len(series))]
    shuffled = table(series, names[::-1]).sample(frac=1, random_state=random.randrange(1000))
    assert scores_digest(shuffled) == scores_digest(table(series, names))


@given(STUDIES, STUDIES)
def test_equal_digests_are_equal_scores(first, second):
    digests = [
        scores_digest(table(series, [f"p{i}" for i in range(len(series))])) for series in (first, second)
    ]
    assert (digests[0] == digests[1]) is (scored(first) == scored(second))


def test_no_score_is_no_digest_and_nobodys_twin():
    empty = pd.DataFrame({"patient": ["a"], "session": [1], "x": [np.nan], "y": [np.nan]})
    assert scores_digest(empty) == ""
    assert duplicates({"A": "", "B": "", "C": "1", "D": "1", "E": "2", "F": "1"}) == [("C", "D"), ("C", "F")]


def drawn(seed: int, n: int, high: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [(f"p{seed}-{i}", s, *rng.integers(0, high, 2)) for i in range(n) for s in range(1, 6)]
    return pd.DataFrame(rows, columns=["patient", "session", "x", "y"]).astype({"x": float, "y": float})


def test_some_patients_of_another_study_are_recognised_whatever_they_are_called():
    first, other = drawn(1, 60), drawn(2, 80)
    few = first[first["patient"].isin(first["patient"].unique()[:7])].assign(
        patient=lambda t: "x" + t["patient"]
    )
    renumbered = few.assign(session=few["session"] * 3)
    both = pd.concat([other, renumbered]).sample(frac=1, random_state=1)
    series = {id: patient_series(table) for id, table in {"A": first, "B": other, "C": both}.items()}
    assert overlaps(series) == [("A", "C", 7), ("B", "C", 80)]


def test_other_studies_share_nobody_even_where_scores_are_few_or_constant():
    coarse = {str(i): patient_series(drawn(i, 400, high=2)[lambda t: t["session"] <= 3]) for i in range(4)}
    assert overlaps(coarse) == []
    fine = {str(i): patient_series(drawn(i, 400)) for i in range(4)}
    assert overlaps(fine) == []
    ceiling = drawn(1, 50).assign(x=7.0, y=0.0)
    assert len(patient_series(ceiling)) == 0
