"""Networks as graphs: layers on the accelerator, and integer steps of the host between them."""
