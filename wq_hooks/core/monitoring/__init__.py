"""What is told of a queue: progress, who has what, the line of status."""
