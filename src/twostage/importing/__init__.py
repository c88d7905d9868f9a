"""A researcher's own file as a study of a collection: read, mapped, reshaped, written whole or not at all."""
