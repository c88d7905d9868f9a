"""Numbers that differ are explained, those that agree are not."""

from twostage.pages.common.counts import why_counts_differ


def test_what_differs_is_explained_with_its_numbers():
    text = why_counts_differ(4771, {"a → b": (4763, 22041), "b → a": (4764, 22044)}, 1, 22100)
    for part in (
        "4,771 patients are in the panel",
        "a → b: 4,763 patients, 22,041 transitions",
        "b → a: 4,764",
    ):
        assert part in text
    assert "counts 22,100 transitions" in text
    assert "at the next session" in text
    assert "3 sessions later" in why_counts_differ("at least 9", {"a → b": (8, 20)}, 3)


def test_nothing_is_said_where_they_agree():
    assert why_counts_differ(30, {"a → b": (30, 211), "b → a": (30, 211)}, 1, 211) == ""
    assert why_counts_differ(30, {"a → b": (30, 211), "b → a": (30, 211)}, 1, 214) != ""
    assert why_counts_differ(30, {}, 1) == ""
