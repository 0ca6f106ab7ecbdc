"""What a benchmark runs in the processes of a cluster."""
