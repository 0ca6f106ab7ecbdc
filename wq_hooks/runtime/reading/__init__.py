"""How items become records, and how it comes back which were trained."""
