"""What decides: plain Python without TensorFlow, with the time passed in.

Order, works and plan say what there is to do; the ledger says who has what;
feeder (chief) and consumer (worker) say when something is to be moved.
"""
