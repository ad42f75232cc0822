"""Metrics, the tables and figures of the paper, and baselines."""
