"""One question answered under many combinations of choices: what moves the answer, what turns it, what chance would do.

- decompose: shares of the estimates' variance that go with each choice.
- flips: which choices turn a conclusion.
- joint: all specifications at once against their distribution under a null hypothesis.
"""

from twostage.stats.multiverse.decompose import Decomposition, decompose
from twostage.stats.multiverse.flips import Branch, Flips, find_flips, flip_tree
from twostage.stats.multiverse.joint import STATISTICS, JointTest, joint_statistics, joint_test
