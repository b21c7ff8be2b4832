"""Sweeps of the machine's parameters with the cycle model: behind `eie explore`."""

__all__ = ["ExploreError"]


class ExploreError(ValueError):
    """Something that cannot be explored; the message says what to change."""
