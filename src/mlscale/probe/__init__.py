"""Controlled measurements: what the store, the preparation and the training step can each do alone.

Unlike a watch, a probe makes the work itself: it reads the files, iterates the loader, calls the step.
"""
