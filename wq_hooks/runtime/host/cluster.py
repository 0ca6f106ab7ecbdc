"""Where the tasks of the cluster are to be reached.

    addresses_of_tasks(session, os.environ)    # {"worker:1": "10.0.0.7:2222"}

TF_CONFIG tells, or else the server of this process that the session is on.
TensorFlow gives no way from a session to its server; so it is looked for among
the objects of its class.

The trap: to look among all objects of the process (`gc.get_objects`) takes hold
of tuples that other threads are about to fill, and these threads then fail.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.chief.tasks import addresses_in


def addresses_of_tasks(
    session: tf1.Session, environ: Mapping[str, str]
) -> dict[str, str]:
    """Returns the addresses of the tasks by name; {} where nothing tells.

    Args:
      session: A session of this task.
      environ: The environment, for TF_CONFIG.
    """
    addresses = addresses_in(environ)
    if addresses:
        return addresses
    target = tf.compat.as_str(session.sess_str or "")
    if not target.startswith("grpc://"):
        return {}
    for value in gc.get_referrers(tf.distribute.Server):
        # Modules and subclasses refer to the class as well.
        if type(value) is tf.distribute.Server and value.target == target:
            return {
                f"{job.name}:{index}": address
                for job in value.server_def.cluster.job
                for index, address in job.tasks.items()
            }
    return {}
