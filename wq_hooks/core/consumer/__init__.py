"""A consumer's side: taking items, and knowing when one is completed."""
