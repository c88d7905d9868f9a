"""From a collection to a book: the order of the steps and everything that runs them."""
