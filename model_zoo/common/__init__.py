"""What the trainers share: flags, the cluster, and what is reported."""
