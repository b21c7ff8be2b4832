"""Sweeps of machine parameters with the cycle model, for `eie explore`."""

__all__ = ["ExploreError"]


class ExploreError(ValueError):
    """Invalid sweep or failed worker; the message says what to change."""
