"""Published networks and networks trained here, through the accelerator."""
