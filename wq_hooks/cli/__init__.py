"""The command `wq-hooks` and its subcommands."""
