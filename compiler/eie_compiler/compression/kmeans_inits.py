"""Names of the initialisations of k-means, importable without NumPy for the command line."""

__all__ = ["KMEANS_INITS"]

#: As for :func:`.weight_sharing.share_weights`; the first is the default.
KMEANS_INITS = ("exact", "linear", "density", "random")
