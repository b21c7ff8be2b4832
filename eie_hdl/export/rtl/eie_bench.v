// Bench of one machine in plain Verilog, for Icarus Verilog and for Verilator (--binary --timing).
//
// It compares the identification of the machine with the configuration. With a network, whose
// images the memories load, it then sends inputs and compares every beat of the results. The last
// line is PASS or FAIL: and the reason; FAIL also ends the simulation with an error.
//
// Everything happens at the falling edge of the clock: what is valid and ready then is transferred
// at the next rising edge.
//
// FOLDER has the files of a network: images, inputs.hex and results.hex. With FINISH = 0 the bench
// ends nothing, so that a design with several benches can wait for all of them.
module eie_bench #(
    parameter FOLDER = ".",
    parameter FINISH = 1,
    parameter TIMEOUT = /*timeout*/ 10000    // cycles without a transfer
) (
    output reg done,
    output reg failed
);
    localparam N_INFERENCES = /*n_inferences*/ 0;
    localparam INPUT_BEATS  = /*input_beats*/ 0;     // of one inference, header included
    localparam RESULT_BEATS = /*result_beats*/ 0;    // of one inference

    localparam N_INPUTS  = N_INFERENCES * INPUT_BEATS;
    localparam N_RESULTS = N_INFERENCES * RESULT_BEATS;

    reg  aclk, aresetn;

    reg  [9:0]  awaddr, araddr;
    reg  [31:0] wdata;
    wire [31:0] rdata;
    reg  awvalid, wvalid, arvalid;
    wire awready, wready, arready, bvalid, rvalid;
    wire [1:0] bresp, rresp;

    reg  [63:0] s_tdata;
    reg  s_tvalid, s_tlast;
    wire s_tready;
    wire [63:0] m_tdata;
    wire [7:0] m_tkeep;
    wire m_tvalid, m_tlast;

    eie /*parameters*/machine (
        .aclk(aclk), .aresetn(aresetn),
        .s_axil_awaddr(awaddr), .s_axil_awprot(3'b000),
        .s_axil_awvalid(awvalid), .s_axil_awready(awready),
        .s_axil_wdata(wdata), .s_axil_wstrb(4'b1111),
        .s_axil_wvalid(wvalid), .s_axil_wready(wready),
        .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(1'b1),
        .s_axil_araddr(araddr), .s_axil_arprot(3'b000),
        .s_axil_arvalid(arvalid), .s_axil_arready(arready),
        .s_axil_rdata(rdata), .s_axil_rresp(rresp),
        .s_axil_rvalid(rvalid), .s_axil_rready(1'b1),
        .s_axis_tdata(s_tdata), .s_axis_tkeep(8'hff), .s_axis_tlast(s_tlast),
        .s_axis_tvalid(s_tvalid), .s_axis_tready(s_tready),
        .m_axis_tdata(m_tdata), .m_axis_tkeep(m_tkeep), .m_axis_tlast(m_tlast),
        .m_axis_tvalid(m_tvalid), .m_axis_tready(1'b1),
        .irq());

    // One word more than is used, as an array cannot be empty. A line of results.hex is TLAST,
    // TKEEP and TDATA.
    reg [63:0]  inputs  [0:N_INPUTS];
    reg [75:0]  results [0:N_RESULTS];
    generate
        if (N_INFERENCES != 0) begin : vectors
            initial begin
                $readmemh({FOLDER, "/inputs.hex"}, inputs, 0, N_INPUTS - 1);
                $readmemh({FOLDER, "/results.hex"}, results, 0, N_RESULTS - 1);
            end
        end
    endgenerate

    initial aclk = 1'b0;
    always #5 aclk = ~aclk;

    // Results.
    integer n_received, n_mismatches;
    reg [75:0] beat;
    initial n_received = 0;
    initial n_mismatches = 0;
    always @(negedge aclk) if (aresetn && m_tvalid && !done) begin
        beat = results[n_received < N_RESULTS ? n_received : N_RESULTS];
        if (n_received >= N_RESULTS || {3'b000, m_tlast, m_tkeep, m_tdata} !== beat) begin
            if (n_mismatches < 10)
                $display("%m: beat %0d is %b_%h_%h, not %b_%h_%h", n_received,
                         m_tlast, m_tkeep, m_tdata, beat[72], beat[71:64], beat[63:0]);
            n_mismatches = n_mismatches + 1;
        end
        n_received = n_received + 1;
    end

    // A bus that waits for ever.
    integer n_idle;
    initial n_idle = 0;
    always @(negedge aclk) if (!done) begin
        n_idle = (awvalid && awready) || (arvalid && arready) || (s_tvalid && s_tready) || m_tvalid
                 ? 0 : n_idle + 1;
        if (n_idle == TIMEOUT) finish("no transfer for TIMEOUT cycles");
    end

    task finish(input [8*64-1:0] reason);    // empty if all is well
        begin
            failed = reason != 0;
            done = 1'b1;
            if (failed) $display("FAIL: %m: %0s", reason);
            else $display("PASS: %0d inferences, %0d beats of results", N_INFERENCES, N_RESULTS);
            if (FINISH != 0) begin
                if (failed) $fatal(1, "the machine or the network is not as expected");
                else $finish;
            end
        end
    endtask

    reg taken, other_taken;
    task write(input [9:0] address, input [31:0] data);
        begin
            awaddr = address;
            awvalid = 1'b1;
            wdata = data;
            wvalid = 1'b1;
            while (awvalid || wvalid) begin
                taken = awready;
                other_taken = wready;
                @(negedge aclk);
                if (taken) awvalid = 1'b0;
                if (other_taken) wvalid = 1'b0;
            end
            while (!bvalid) @(negedge aclk);
            if (bresp != 2'b00 && !done) begin
                $display("%m: write of %h to register %h is refused", data, address);
                finish("a register refuses a write");
            end
            @(negedge aclk);
        end
    endtask

    reg [31:0] value;    // that was read last
    task read(input [9:0] address);
        begin
            araddr = address;
            arvalid = 1'b1;
            while (!arready) @(negedge aclk);
            @(negedge aclk);
            arvalid = 1'b0;
            while (!rvalid) @(negedge aclk);
            value = rdata;
            @(negedge aclk);
        end
    endtask

    task check(input [9:0] address, input [31:0] expected);
        begin
            read(address);
            if (value !== expected && !done) begin
                $display("%m: register %h is %h, not %h", address, value, expected);
                finish("a register has an unexpected value: is it another machine?");
            end
        end
    endtask

    integer n, b;
    initial begin
        done = 1'b0;
        failed = 1'b0;
        aresetn = 1'b0;
        {awvalid, wvalid, arvalid, s_tvalid, s_tlast} = 5'b00000;
        {awaddr, araddr, wdata, s_tdata} = 116'd0;
        repeat (4) @(negedge aclk);
        aresetn = 1'b1;
        @(negedge aclk);

/*checks*/
        for (n = 0; n < N_INFERENCES && !done; n = n + 1) begin
            for (b = 0; b < INPUT_BEATS; b = b + 1) begin
                s_tdata = inputs[n * INPUT_BEATS + b];
                s_tlast = b == INPUT_BEATS - 1;
                s_tvalid = 1'b1;
                while (!s_tready) @(negedge aclk);
                @(negedge aclk);
            end
            s_tvalid = 1'b0;
/*start*/
            while (n_received < (n + 1) * RESULT_BEATS && !done) @(negedge aclk);
        end
        repeat (100) @(negedge aclk);    // for results that should not be
        if (!done) begin
/*error*/
        end
        if (!done) finish(n_mismatches != 0 ? "results differ from those of the golden model" : "");
    end
endmodule
