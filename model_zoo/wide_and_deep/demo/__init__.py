"""One command that shows what a work queue does; see `__main__.py`."""
