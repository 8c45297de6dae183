"""Plaudit's version. Knows nothing else."""

__version__ = "0.1.0"
