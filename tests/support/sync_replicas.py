"""The function `train` of docs/pipelines.md's synchronous updates."""

from __future__ import annotations

import re

import tensorflow as tf

from tests.support.paths import ROOT

GUIDE = ROOT / "docs" / "pipelines.md"
TITLE = "Between-graph replication, synchronous updates"


class _BeforeSteps(tf.compat.v1.train.SessionRunHook):
    """Calls a function when the session is there."""

    def __init__(self, function):
        self._function = function

    def after_create_session(self, session, coord):
        self._function()


def train_function(paths, cluster_spec, results, before_steps, replace=()):
    """Returns `train(target, task_index)`.

    Args:
      paths: Paths of the text files.
      cluster_spec: Specification of the cluster.
      results: What is appended to, for each batch its lines.
      before_steps: Called when a session is there, before its first step.
      replace: What to replace in the guide's code, by what.
    """
    code = re.search(
        rf"^## {TITLE}\n.*?^```python\n(.*?)^```",
        GUIDE.read_text(),
        re.MULTILINE | re.DOTALL,
    ).group(1)
    for old, new in [("hooks=[", "hooks=[before_steps, "), *replace]:
        assert code.count(old) == 1, f"{old!r} is not once in the guide"
        code = code.replace(old, new)
    names = {
        "before_steps": _BeforeSteps(before_steps),
        "cluster_spec": cluster_spec,
        "csv_paths": paths,
        "results": results,
    }
    exec(compile(code, f"pipelines.md, {TITLE}", "exec"), names)
    return names["train"]
