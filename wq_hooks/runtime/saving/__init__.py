"""How the position is saved and restored with the model, and beside it."""
