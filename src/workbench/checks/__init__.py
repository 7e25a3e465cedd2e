"""Checking pairs: what keeps one from teaching what it should, kept as flags."""
