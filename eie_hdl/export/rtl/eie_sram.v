// Memory in block RAM. An ASIC flow replaces this file by one that instantiates its macros.
//
// Read latency is one cycle; data is held while r_en is low. A row must not be read in the cycle in
// which it is written, and the machine never does: memories differ in what they return, and some
// forbid it. In simulation the data is x, and with the macro EIE_CHECK_COLLISIONS such a read is a
// fatal error.
//
// IMAGE is the file name of the initial contents: one hexadecimal word per line, for all words or
// the first ones. Its folder is IMAGE_FOLDER; if that is empty, in simulation FOLDER of the plusarg
// +eie_images=FOLDER; else that of the macro EIE_IMAGES, a quoted folder. Without any of them, the
// initial contents are undefined. Synthesis builds the contents into the netlist.
module eie_sram #(
    parameter WIDTH = 1,
    parameter DEPTH = 2,
    parameter ADDR_WIDTH = 1,
    parameter IMAGE = "",
    parameter IMAGE_FOLDER = ""
) (
    input  wire                  clk,
    input  wire                  r_en,
    input  wire [ADDR_WIDTH-1:0] r_addr,
    output reg  [WIDTH-1:0]      r_data,
    input  wire                  w_en,
    input  wire [ADDR_WIDTH-1:0] w_addr,
    input  wire [WIDTH-1:0]      w_data
);
    (* ram_style = "block", no_rw_check *)
    reg [WIDTH-1:0] rows [0:DEPTH-1];

    always @(posedge clk) begin
        if (r_en) r_data <= rows[r_addr];
        if (w_en) rows[w_addr] <= w_data;
`ifndef SYNTHESIS
        if (r_en && w_en && r_addr == w_addr) begin
            r_data <= {WIDTH{1'bx}};
`ifdef EIE_CHECK_COLLISIONS
            $fatal(1, "%m: row %0d is read in the cycle in which it is written", r_addr);
`endif
        end
`endif
    end

`include "eie_image.vh"
endmodule
