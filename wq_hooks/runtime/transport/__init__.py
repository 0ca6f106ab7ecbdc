"""How the tasks of a job reach each other: queues, a board, servers."""
