"""How items reach the datasets of a process in eager mode."""
