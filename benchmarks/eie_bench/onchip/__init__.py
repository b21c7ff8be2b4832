"""Programs of loops alone: nothing between the layers of a network leaves the chip."""
