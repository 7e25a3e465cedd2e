"""Recipes, what the model sees, the trainer, checkpoints, runs."""
