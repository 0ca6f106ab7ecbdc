"""The tests; what is set here is set before anything imports TensorFlow."""

from __future__ import annotations

import os

# Before a graph runs, oneDNN looks for each of its operations through all
# kernels there are, which is a tenth of what a test of a small graph takes.
WITHOUT_ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "0"}

os.environ.update(WITHOUT_ONEDNN)
