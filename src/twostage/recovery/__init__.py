"""The recovery study: a collection drawn again and again with known truth, through both stages."""
