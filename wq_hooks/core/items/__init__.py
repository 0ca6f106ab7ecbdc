"""What is handed out: works, how they are cut and ordered, what a ticket is."""
