"""Names of the starts of k-means, without NumPy: the command line lists them."""

__all__ = ["START_NAMES"]

#: As for :func:`.weight_sharing.share_weights`; the first is the default.
START_NAMES = ("exact", "linear", "density", "random")
