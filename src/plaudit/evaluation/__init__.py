"""Evaluation: how good a classifier's probabilities are. Knows probabilities and labels, not how they came about."""
