// Small memory in LUT RAM or registers, with a registered read address.
//
// Read latency is one cycle; the address is held while r_en is low. A simultaneous read and write
// of a row returns the new contents.
//
// IMAGE is the file name of the initial contents: one hexadecimal word per line, for all words or
// the first ones. Its folder is IMAGE_FOLDER; if that is empty, in simulation FOLDER of the plusarg
// +eie_images=FOLDER; else that of the macro EIE_IMAGES, a quoted folder. Without any of them, the
// initial contents are undefined. Synthesis builds the contents into the netlist.
module eie_regfile #(
    parameter WIDTH = 1,
    parameter DEPTH = 2,
    parameter ADDR_WIDTH = 1,
    parameter IMAGE = "",
    parameter IMAGE_FOLDER = ""
) (
    input  wire                  clk,
    input  wire                  r_en,
    input  wire [ADDR_WIDTH-1:0] r_addr,
    output wire [WIDTH-1:0]      r_data,
    input  wire                  w_en,
    input  wire [ADDR_WIDTH-1:0] w_addr,
    input  wire [WIDTH-1:0]      w_data
);
    (* ram_style = "distributed" *)
    reg [WIDTH-1:0] rows [0:DEPTH-1];

    reg [ADDR_WIDTH-1:0] addr;
    assign r_data = rows[addr];

    always @(posedge clk) begin
        if (r_en) addr <= r_addr;
        if (w_en) rows[w_addr] <= w_data;
    end

`include "eie_image.vh"
endmodule
