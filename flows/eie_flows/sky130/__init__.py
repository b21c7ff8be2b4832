"""Characterisation of cells of sky130_fd_sc_hd from their SPICE models."""
