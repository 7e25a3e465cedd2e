"""The engine of the Hybrid Workbench: it works without a screen and imports nothing heavy until asked."""

__version__ = "0.1.0"
