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

`ifdef SYNTHESIS
    generate
        if (IMAGE != "" && IMAGE_FOLDER != "") begin : from_parameter
            initial $readmemh({IMAGE_FOLDER, "/", IMAGE}, rows);
        end
`ifdef EIE_IMAGES
        else if (IMAGE != "") begin : from_macro
            initial $readmemh({`EIE_IMAGES, "/", IMAGE}, rows);
        end
`endif
    endgenerate
`else
    generate
        if (IMAGE != "") begin : loaded
            reg [8*1024-1:0] folder;
            reg has_folder;
            /* verilator lint_off UNUSEDSIGNAL */
            reg [WIDTH-1:0] word;    // counted, not used
            /* verilator lint_on UNUSEDSIGNAL */
            integer file, n_words;

            // Count the words first: simulators warn about a short file unless given its length,
            // and continue after errors that must stop the simulation.
            initial begin
                has_folder = 1'b1;
                if (IMAGE_FOLDER != "")
                    $sformat(folder, "%0s", IMAGE_FOLDER);
                else if (!$value$plusargs("eie_images=%s", folder))
`ifdef EIE_IMAGES
                    $sformat(folder, "%0s", `EIE_IMAGES);
`else
                    has_folder = 1'b0;
`endif

                if (has_folder) begin
                    file = $fopen({folder, "/", IMAGE}, "r");
                    n_words = 0;
                    if (file != 0)
                        while ($fscanf(file, "%h", word) == 1 && ^word !== 1'bx)
                            n_words = n_words + 1;

                    if (file == 0) begin
                        $display("ERROR: %m: cannot read the image %0s/%0s", folder, IMAGE);
                        $fatal(1, "a memory has no contents");
                    end else if ($feof(file) == 0 || ^word === 1'bx) begin
                        $display("ERROR: %m: word %0d of the image %0s/%0s is not hexadecimal",
                                 n_words, folder, IMAGE);
                        $fatal(1, "a memory has no contents");
                    end else if (n_words > DEPTH) begin
                        $display("ERROR: %m: the image %0s/%0s has %0d words, the memory %0d",
                                 folder, IMAGE, n_words, DEPTH);
                        $fatal(1, "a memory has no contents");
                    end else if (n_words > 0)
                        $readmemh({folder, "/", IMAGE}, rows, 0, n_words - 1);
                    if (file != 0) $fclose(file);
                end
            end
        end
    endgenerate
`endif
endmodule
