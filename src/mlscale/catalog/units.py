"""What the units in the files' key names are worth, in bytes and bytes a second."""

GIB = float(2**30)
TIB = float(2**40)
GB = 1e9
MB = 1e6
GBIT = 1e9 / 8
TERA = 1e12
MS = 1e-3
PERCENT = 1e-2
