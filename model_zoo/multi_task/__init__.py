"""Multi-gate mixture of experts on hourly partitions."""
