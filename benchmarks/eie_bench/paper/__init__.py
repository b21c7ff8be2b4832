"""The published machine's own benchmark: nine layers, the figures of the paper, and ours."""
