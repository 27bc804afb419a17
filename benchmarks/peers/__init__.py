"""The tools that a user would otherwise reach for, each in one file, on the same training loop (workload.py).

A file says how the loop has to change for the tool (CHANGE), runs it (main), and prints what the tool says. NAMES maps the
tool's own words to our verdicts: one pattern that stands for several verdicts does not tell them apart.
"""
