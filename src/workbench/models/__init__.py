"""Which models exist, where their weights come from, loading them."""
