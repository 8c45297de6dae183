"""Plaudit measured against the original and its parts, both sides in one run on the same work."""
