"""The numeric core: arrays in, frozen results out; NumPy and SciPy only. Each family of statistics is a folder."""
