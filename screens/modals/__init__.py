"""Dialogs: they ask one thing and return the answer."""
