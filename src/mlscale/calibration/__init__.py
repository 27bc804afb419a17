"""The models' constants, read from `profiles/calibration/`: fitted figures, with their sources and dates."""
