"""How items reach the readers and datasets of a session."""
