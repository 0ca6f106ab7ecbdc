"""What the Keras of this TensorFlow can do."""

import tensorflow as tf

# Keras 3 has no ParameterServerStrategy, and nothing that it reads from.
has_keras_2 = hasattr(
    getattr(tf.keras.utils, "experimental", None), "DatasetCreator"
)
