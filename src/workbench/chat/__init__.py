"""Grounded prompts, generation, citations, the server and its client."""
