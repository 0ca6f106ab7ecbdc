"""What the tasks of a job write to each other, as text."""
