"""Models that train from a `wq_hooks` work queue."""
