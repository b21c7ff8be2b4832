"""The machine in standard cells: area, clock rate, power and layout."""
