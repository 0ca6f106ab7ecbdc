"""What runs for a queue while a session, or a process, is there."""
