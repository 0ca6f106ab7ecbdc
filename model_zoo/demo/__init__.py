"""Shows on this machine what a work queue does: `make demo`."""
