"""Benchmark of the paper: its nine layers and figures, against this implementation."""
