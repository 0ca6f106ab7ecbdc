"""Benchmarks: how close to the limit, and against what else there is.

    python -m benchmarks                  # all of them, side by side
    python -m benchmarks makespan take    # some

Ratios within one run are what counts; absolute times depend on the machine.
"""
