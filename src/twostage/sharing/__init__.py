"""Studies whose data may not leave the house: a site shares its results as a bundle, a collection accepts it."""
