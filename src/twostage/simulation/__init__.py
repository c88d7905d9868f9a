"""Collections with known truth, drawn from a generating model."""

from twostage.simulation.examples import (
    ItemKey,
    example_study,
    fill_in,
    fill_in_items,
    with_items,
    write_clinic,
    write_example,
)
from twostage.simulation.model import GENERATING, draw_pair, innovation_covariance, settles
from twostage.simulation.simulate import SEED, simulate_collection, write_collection
