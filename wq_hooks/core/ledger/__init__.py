"""The chief's account: who holds which item, and who takes more."""
