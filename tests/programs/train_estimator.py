"""Trains and evaluates with an Estimator, in one process.

Each step of a training says `TRAINED <item>`, and each of an evaluation
`EVALUATED <item>`. The evaluation has no end.
"""

from __future__ import annotations

import argparse
import time

import tensorflow as tf

from wq_hooks import Preemption, WorkQueue, WorkQueueHook

tf1 = tf.compat.v1
ITEMS = "items_of_this_program"


class Teller(tf1.train.SessionRunHook):
    """Says which items the steps get."""

    def __init__(self, word):
        self._word = word

    def before_run(self, run_context):
        (item,) = run_context.session.graph.get_collection(ITEMS)
        return tf1.train.SessionRunArgs(item)

    def after_run(self, run_context, run_values):
        print(self._word, run_values.results.decode(), flush=True)
        time.sleep(0.02)


def model_fn(features, labels, mode):
    del labels
    tf1.add_to_collection(ITEMS, features)
    weight = tf1.get_variable("weight", [], initializer=tf1.ones_initializer())
    step = tf1.train.get_global_step()
    with tf.control_dependencies([features]):
        train_op = tf.group(step.assign_add(1), weight.assign_add(0.5))
        loss = tf.square(weight)
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--how", default="train")
    parser.add_argument("--num_works", type=int, default=200)
    parser.add_argument("--grace_secs", type=float, default=25.0)
    parser.add_argument("--has_hook", type=int, default=1)
    args = parser.parse_args()
    estimator = tf.estimator.Estimator(
        model_fn,
        args.directory,
        tf.estimator.RunConfig(save_checkpoints_steps=10_000),
    )
    settings = Preemption(grace_secs=args.grace_secs)

    def train_input():
        works = [f"item-{i:04d}" for i in range(args.num_works)]
        return WorkQueue(works, shuffle=False).input_dataset()

    def evaluation_input():
        queue = WorkQueue(["held-out"], num_epochs=None, name="evaluation")
        return queue.input_dataset()

    def hooks(word, *, has_hook=True):
        own = [WorkQueueHook(on_preemption=settings)] if has_hook else []
        return [Teller(word), *own]

    in_evaluation = hooks("EVALUATED", has_hook=bool(args.has_hook))
    if args.how == "train":
        estimator.train(train_input, hooks=hooks("TRAINED"))
    elif args.how == "evaluate":
        estimator.train(train_input, hooks=hooks("TRAINED"))
        estimator.evaluate(evaluation_input, hooks=in_evaluation)
    else:
        # It evaluates inside of the training's session.
        tf.estimator.train_and_evaluate(
            estimator,
            tf.estimator.TrainSpec(train_input, hooks=hooks("TRAINED")),
            tf.estimator.EvalSpec(
                evaluation_input,
                steps=None,
                hooks=in_evaluation,
                start_delay_secs=0,
                throttle_secs=0,
            ),
        )
    print("DONE", flush=True)


if __name__ == "__main__":
    main()
