"""A GPT built from scratch, chapter by chapter."""

__version__ = "0.1.0"
