"""Pairs that a model proposes and a person judges: drafts from a library's passages, and two answers to a prompt."""
