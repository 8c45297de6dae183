"""Plaudit's tests: they mirror the source, room by room."""
