"""A job's processes on one machine: `wq-hooks launch`, and for tests."""
