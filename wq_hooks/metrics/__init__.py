"""The numbers of a queue for Prometheus, and where they can be asked for."""
