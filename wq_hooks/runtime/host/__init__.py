"""What is known of the surroundings of a queue: its session, its callers."""
