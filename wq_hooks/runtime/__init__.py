"""What moves data: TensorFlow ops, sessions, threads and Savers.

Nothing in here decides anything; that is done in `wq_hooks.core`.
"""
