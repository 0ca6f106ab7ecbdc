"""The chief's side: between the ledger and what leads to the consumers."""
