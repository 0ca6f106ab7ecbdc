"""Where a queue is, as a checkpoint keeps it, and how it goes on from there."""
