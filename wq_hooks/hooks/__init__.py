"""Session hooks: log lines, summaries, a clean end; synchronous replicas."""
