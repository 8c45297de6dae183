"""Serving: bytes to verdicts and back, by SageMaker's hosting contract. Knows no page."""
