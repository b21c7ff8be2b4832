"""Names of quantisers and of initialisations, importable without NumPy for the command line."""

__all__ = ["KMEANS_INITS", "QUANTISERS"]

#: As for :func:`.weight_sharing.share_weights`; the first of each is the default.
QUANTISERS = ("kmeans", "uniform")
KMEANS_INITS = ("exact", "linear", "density", "random")
