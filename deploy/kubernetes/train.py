"""Trains a linear model on lines `label,x,y` of all files of a directory.

    python train.py --data_dir=/data --model_dir=/model

Each task of the cluster runs it; TF_CONFIG says which task it is, as the
operator, the manifests beside this file, or `wq-hooks launch` set it. It is
stopped by SIGTERM, and goes on where it was when it is started again.
"""

import argparse
import glob
import json
import os

import tensorflow as tf

from wq_hooks import WorkQueue, WorkQueueHook

tf1 = tf.compat.v1


def parse(line):
    """Returns (features, label), tf.float32 of shapes [2] and []."""
    label, x, y = tf.io.decode_csv(line, [[0.0]] * 3)
    return tf.stack([x, y]), label


def loss_of(batches):
    """Returns the loss of a batch, a tf.float32 scalar."""
    iterator = tf1.data.make_initializable_iterator(batches)
    # A session that is created, or created again, runs these.
    tf1.add_to_collection(
        tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
    )
    features, labels = iterator.get_next()
    weights = tf1.get_variable("weights", [2, 1])
    return tf1.losses.mean_squared_error(labels, (features @ weights)[:, 0])


def train(files, args, task, cluster, server):
    """Trains as chief or worker, until the data end."""
    device = f"/job:{task['type']}/task:{task['index']}"
    setter = tf1.train.replica_device_setter(
        cluster=cluster, worker_device=device
    )
    with tf.Graph().as_default(), tf1.device(setter):
        queue = WorkQueue(files, num_epochs=2, shuffle=True, seed=1)
        records = queue.records(tf.data.TextLineDataset)
        loss = loss_of(records.shuffle(1000).map(parse).batch(32).to_dataset())
        step = tf1.train.get_or_create_global_step()
        optimizer = tf1.train.GradientDescentOptimizer(0.01)
        train_op = optimizer.minimize(loss, step)
        with tf1.train.MonitoredTrainingSession(
            server.target,
            is_chief=task["type"] == "chief",
            checkpoint_dir=args.model_dir,
            # A worker must not wait for others than the parameter servers.
            config=tf1.ConfigProto(device_filters=["/job:ps", device]),
            save_checkpoint_secs=60,
            hooks=[WorkQueueHook(metrics_port=args.metrics_port)],
        ) as session:
            while not session.should_stop():
                session.run(train_op)


def evaluate(files, args):
    """Prints the loss of the first file for each checkpoint, for ever."""
    for path in tf.train.checkpoints_iterator(args.model_dir):
        with tf.Graph().as_default(), tf1.Session() as session:
            lines = tf.data.TextLineDataset(files[0]).map(parse)
            loss = loss_of(lines.batch(1000))
            tf1.train.Saver(tf1.trainable_variables()).restore(session, path)
            session.run(tf1.tables_initializer())
            print(f"{path}: loss {session.run(loss):.4f}", flush=True)


def main():
    """Runs one task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--metrics_port", type=int)
    args = parser.parse_args()
    config = json.loads(os.environ["TF_CONFIG"])
    task, cluster = config["task"], tf.train.ClusterSpec(config["cluster"])
    files = sorted(glob.glob(f"{args.data_dir}/*"))
    if task["type"] == "evaluator":
        evaluate(files, args)
        return
    server = tf.distribute.Server(
        cluster, job_name=task["type"], task_index=task["index"]
    )
    if task["type"] == "ps":
        server.join()
    else:
        train(files, args, task, cluster, server)


if __name__ == "__main__":
    main()
