"""The methods of `records()`: pipelines whose elements know their items."""
