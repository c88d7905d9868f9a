"""The choices that turn a conclusion, against enumeration by hand."""

import itertools

import numpy as np

from twostage.stats.multiverse.flips import find_flips, flip_tree

LEVELS = np.array(list(itertools.product(range(3), range(2), range(2))))


def test_single_steps_and_the_fewest_changes():
    # Turned: a = 2 whatever else; and b = c = 1.
    turned = (LEVELS[:, 0] == 2) | ((LEVELS[:, 1] == 1) & (LEVELS[:, 2] == 1))
    found = find_flips(LEVELS, turned.astype(int), 0, ["a", "b", "c"])
    assert [(f, value) for f, value, _ in found.alone] == [(0, 2)]
    assert tuple(LEVELS[found.alone[0][2]]) == (2, 0, 0)
    assert (found.tried, found.fewest) == (4, 1)
    assert found.share == turned.mean()
    both = find_flips(LEVELS, ((LEVELS[:, 1] == 1) & (LEVELS[:, 2] == 1)).astype(int), 0, ["a", "b", "c"])
    assert both.alone == () and both.fewest == 2


def test_nothing_turns():
    found = find_flips(LEVELS, np.zeros(12, int), 0, ["a", "b", "c"])
    assert (found.alone, found.fewest, found.share) == ((), 0, 0.0)
    assert [(b.n, b.leaf) for b in found.tree] == [(12, True)]


def test_the_tree_finds_the_rule():
    turned = np.isin(LEVELS[:, 0], [0, 2]) & (LEVELS[:, 2] == 1)
    tree = flip_tree(LEVELS, turned)
    leaves = {branch.path: branch.share for branch in tree if branch.leaf}
    assert set(leaves.values()) == {0.0, 1.0}
    assert ((2, (1,)), (0, (0, 2))) in leaves
    assert sum(b.n for b in tree if b.leaf) == 12


def test_the_first_division_is_the_best_of_all():
    rng = np.random.default_rng(3)
    for _ in range(20):
        turned = rng.random(12) < 0.4
        root, *parts = flip_tree(LEVELS, turned, depth=1, gain=0.0)
        gini = lambda hits: len(hits) * hits.mean() * (1 - hits.mean()) if len(hits) else 0.0  # noqa: E731
        tried = [
            gini(turned[inside]) + gini(turned[~inside])
            for f in range(3)
            for size in (1, 2)
            for values in itertools.combinations(range(3), size)
            for inside in [np.isin(LEVELS[:, f], values)]
        ]
        best = min([*tried, gini(turned)])
        assert np.isclose(sum(b.n * b.share * (1 - b.share) for b in parts or [root]), best)
