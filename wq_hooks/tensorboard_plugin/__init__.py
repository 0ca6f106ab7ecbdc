"""The TensorBoard tab "Work Queue".

`plugin` is what TensorBoard loads, through `loader`; `metadata` are the names
that writer and reader share. Nothing here imports TensorFlow.
"""
