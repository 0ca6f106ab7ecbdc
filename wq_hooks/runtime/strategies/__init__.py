"""Queues under the strategies of tf.distribute."""
