"""Who is there: the ports of tasks, the parameter server, other chiefs."""
