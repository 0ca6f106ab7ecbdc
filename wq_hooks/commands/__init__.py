"""The subcommands of `wq-hooks` that read: `inspect` and `status`."""
