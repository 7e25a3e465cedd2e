"""Training pairs: storing, importing, exporting, splitting, undoing."""
