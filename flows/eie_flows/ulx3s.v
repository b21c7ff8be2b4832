// The machine on an ULX3S: PLL, reset, and LEDs around eie_uart.
//
// led[0] blinks while the machine is clocked, and is dark without a lock of the PLL. led[1]: a host
// has connected. led[2], led[3]: bytes come, or go. led[4]: interrupt request. led[7]: a frame was
// damaged since the host connected. Button FIRE1 resets the machine.
module eie_ulx3s (
    input  wire       clk25,
    input  wire       fire1,
    input  wire       rx,        // from the FTDI
    output wire       tx,        // to the FTDI
    output wire       gpio0,     // of the ESP32, which could reset the board
    output wire [7:0] led
);
    assign gpio0 = 1'b1;

    wire clk, locked;
    (* FREQUENCY_PIN_CLKI = "/*oscillator*/" *)
    (* FREQUENCY_PIN_CLKOP = "/*clock*/" *)
    (* ICP_CURRENT = "12" *) (* LPF_RESISTOR = "8" *)
    (* MFG_ENABLE_FILTEROPAMP = "1" *) (* MFG_GMCREF_SEL = "2" *)
    EHXPLLL #(
        .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"),
        .DPHASE_SOURCE("DISABLED"), .OUTDIVIDER_MUXA("DIVA"), .OUTDIVIDER_MUXB("DIVB"),
        .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD"),
        .FEEDBK_PATH("CLKOP"), .CLKI_DIV(1), .CLKFB_DIV(/*multiply*/),
        .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV(/*divide*/), .CLKOP_CPHASE(/*phase*/), .CLKOP_FPHASE(0)
    ) pll (
        .CLKI(clk25), .CLKOP(clk), .CLKFB(clk), .LOCK(locked),
        .RST(1'b0), .STDBY(1'b0), .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0),
        .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1)
    );

    // Reset for 16 cycles after the lock, and while the button is pressed.
    reg [1:0] ready = 0;
    reg [4:0] reset = 0;
    always @(posedge clk) begin
        ready <= {ready[0], locked & ~fire1};
        if (!ready[1]) reset <= 0;
        else if (!reset[4]) reset <= reset + 1;
    end

    wire irq, connected, bad_frame;
    eie_uart machine (
        .aclk(clk), .aresetn(reset[4]), .rx(rx), .tx(tx),
        .irq(irq), .connected(connected), .bad_frame(bad_frame)
    );

    // A byte lights its LED for about 14 ms.
    reg [19:0] receiving = 0, sending = 0;
    reg [25:0] beat = 0;
    always @(posedge clk) begin
        beat <= beat + 1;
        receiving <= !rx ? ~20'd0 : receiving - (receiving != 0);
        sending <= !tx ? ~20'd0 : sending - (sending != 0);
    end
    assign led = {bad_frame, 2'b00, irq, sending != 0, receiving != 0, connected,
                  beat[25] & reset[4]};
endmodule
