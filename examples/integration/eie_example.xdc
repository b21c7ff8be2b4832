# Constraints of eie_example. They are plain SDC: Vivado takes them as .xdc, Quartus and OpenSTA as
# .sdc. Beneath another top module only the last line is needed, with the pin of its own reset.

# 100 MHz. What one PE reaches on a small FPGA is in docs/synthesis.md.
create_clock -name aclk -period 10.0 [get_ports aclk]

# The two flip-flops of reset_sync are there because this path has no time.
set_false_path -from [get_ports aresetn]
