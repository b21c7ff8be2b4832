"""Initial values of registers. Those of whole machines are removed in test_verilog.py."""

from eie_hdl.export.initial_values import remove_values_without_reset


def test_registers_without_reset_have_no_initial_values():
    text = """module part(clk);
  reg auto  = 0;
  reg [{width}:0] \\new  = {data};
  reg kept = {kept};
  always @* begin
    if (local_rst) begin
      next = 1'h0;
    end
  end
  always @(posedge clk)
    kept <= next;
  always @(posedge clk)
    \\new  <= \\$1 ;
endmodule
"""
    before = text.format(width=31, data="32'd0", kept="1'h0")
    assert remove_values_without_reset(before) == before.replace(r"\new  = 32'd0;", r"\new ;", 1)
