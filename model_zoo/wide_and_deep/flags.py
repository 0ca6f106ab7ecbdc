"""The trainers' flags.

    flags.define()                      # once, before absl's app.run
    cluster = flags.cluster(FLAGS)      # --ps_hosts ... or TF_CONFIG
    config = flags.model_config(FLAGS, cluster)

The trap: flags are global to the process. Tests define them on a
`absl.flags.FlagValues()` of their own.
"""

from __future__ import annotations

import os

from absl import flags

from model_zoo.wide_and_deep.cluster import Cluster
from model_zoo.wide_and_deep.model import ModelConfig

_DEFAULTS = ModelConfig()


def define(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags and what is checked when they are parsed."""
    _define_data(flag_values)
    _define_cluster(flag_values)
    flags.DEFINE_string(
        "checkpoint",
        None,
        "Directory for checkpoints, summaries and results. Training resumes "
        "from the newest checkpoint in it.",
        required=True,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "save_steps",
        0,
        "Save every so many global steps; 0: by --save_secs.",
        lower_bound=0,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "save_secs",
        60,
        "Save every so many seconds, if --save_steps is 0. The end is always "
        "saved.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "steps",
        0,
        "Stop at this global step, counted over all tasks and resumes; 0: at "
        "the end of the data.",
        lower_bound=0,
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "eval",
        True,
        "Have the chief compute the AUC over the eval files after training.",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "report_secs",
        60.0,
        "Report the state of the work queue every so many seconds: in the "
        "log, the summaries and queue.json.",
        lower_bound=0.0,
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "log_batches",
        False,
        "List in <checkpoint>/tasks which batches of which files each task "
        "has trained, and when.",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "step_secs",
        0.0,
        "Pad each step to at least so many seconds, as if the model were "
        "larger. A task with WQ_HOOKS_SLOW=<factor> in its environment pads "
        "to factor times as many.",
        lower_bound=0.0,
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "learning_rate",
        _DEFAULTS.deep_learning_rate,
        "Learning rate of the deep part (AdaGrad).",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "linear_learning_rate",
        _DEFAULTS.wide_learning_rate,
        "Learning rate of the wide part (FTRL).",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "hash_buckets",
        _DEFAULTS.hash_buckets,
        "Rows in the tables for each column. The generated data needs 1000; "
        "the real data set wants 100000 or more.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "embedding_size",
        _DEFAULTS.embedding_size,
        "Length of the vector of each categorical value.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_list(
        "hidden_units",
        [str(units) for units in _DEFAULTS.hidden_units],
        "Sizes of the deep part's hidden layers.",
        flag_values=flag_values,
    )
    flags.register_multi_flags_validator(
        ["learning_rate", "linear_learning_rate"],
        lambda values: all(value > 0 for value in values.values()),
        message="Expected learning rates > 0.",
        flag_values=flag_values,
    )
    flags.register_validator(
        "hidden_units",
        lambda values: all(v.isdigit() and int(v) > 0 for v in values),
        message="Expected whole numbers >= 1, separated by commas.",
        flag_values=flag_values,
    )


def _define_data(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "data_location",
        None,
        "Directory of the data: train/* and eval/*, or train* and eval*.",
        required=True,
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "workqueue",
        True,
        "Take files from the global work queue; --noworkqueue or "
        "--workqueue=false: each task has a fixed share of them.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "num_epochs",
        1,
        "How often to read the data.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "batch_size",
        128,
        "Rows in a batch.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "shuffle_buffer",
        10000,
        "Rows of a file that are shuffled among each other; 0: as they are in "
        "the file. Files are shuffled anyway.",
        lower_bound=0,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "seed",
        None,
        "Seed of the order of files and rows and of the initial model; none: "
        "another in each run.",
        lower_bound=0,
        flag_values=flag_values,
    )


def _define_cluster(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_list(
        "ps_hosts",
        [],
        "host:port of the parameter servers, separated by commas. If given, "
        "TF_CONFIG is not read.",
        flag_values=flag_values,
    )
    flags.DEFINE_list(
        "worker_hosts",
        [],
        "host:port of the workers, separated by commas; the first is the "
        "chief.",
        flag_values=flag_values,
    )
    flags.DEFINE_enum(
        "job_name",
        None,
        ["ps", "worker"],
        "This task's job.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "task_index",
        0,
        "This task's number in its job.",
        lower_bound=0,
        flag_values=flag_values,
    )


def cluster(flag_values: flags.FlagValues) -> Cluster:
    """The cluster of the flags, else of TF_CONFIG, else this process alone.

    Raises:
      ValueError: If what is given does not make a cluster.
    """
    if flag_values.ps_hosts or flag_values.worker_hosts or flag_values.job_name:
        return Cluster.from_hosts(
            ps_hosts=flag_values.ps_hosts,
            worker_hosts=flag_values.worker_hosts,
            job_name=flag_values.job_name or "",
            task_index=flag_values.task_index,
        )
    return Cluster.from_tf_config(os.environ.get("TF_CONFIG"))


def model_config(
    flag_values: flags.FlagValues, cluster: Cluster
) -> ModelConfig:
    """The model of the flags, its tables cut into a part for each PS."""
    return ModelConfig(
        hash_buckets=flag_values.hash_buckets,
        embedding_size=flag_values.embedding_size,
        hidden_units=tuple(int(units) for units in flag_values.hidden_units),
        deep_learning_rate=flag_values.learning_rate,
        wide_learning_rate=flag_values.linear_learning_rate,
        num_partitions=max(cluster.num_ps, 1),
    )
