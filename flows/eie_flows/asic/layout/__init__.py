"""Layout of one module in standard cells, and the checks of its geometry."""
