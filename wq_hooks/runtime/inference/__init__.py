"""Prediction jobs, which write no checkpoints."""
