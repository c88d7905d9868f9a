"""Small-study effects: whether small studies find other effects than large ones, and the pooled effect adjusted for that.

- Tests of asymmetry: `egger`, `rank_test`. Pictures: `funnel`, `radial`.
- Adjusted effects: `trimfill`, `petpeese`, `selection_model`.
"""

from twostage.stats.small_study.egger import Egger, egger
from twostage.stats.small_study.funnel import Funnel, funnel
from twostage.stats.small_study.petpeese import PetPeese, petpeese
from twostage.stats.small_study.radial import Radial, radial
from twostage.stats.small_study.rank import RankTest, rank_test
from twostage.stats.small_study.selection import SelectionFit, selection_model
from twostage.stats.small_study.trimfill import TrimFill, trimfill
