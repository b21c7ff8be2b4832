// Block RAM and multiplier of an ECP5 for simulation, as Yosys uses them; its own library has only
// their ports. After Lattice's descriptions of the cells (FPGA-TN-02204 and FPGA-TN-02205).
//
// Nothing uses the output registers of a block RAM, or registers of a multiplier but those of its
// output. A cell that does is not one of these: a simulator ends at the unknown module of that name.

// 1,024 rows of 18 bits, of two bytes of 9; the ninth bit of a byte is used by widths of 9, 18, 36.
//
// A port of 36 bits has two neighbouring rows: port A writes them, port B reads them. What a port
// reads of a row that the other one writes in the same cycle is unknown.
module DP16KD (
    input CLKA, CEA, OCEA, WEA, RSTA, CSA2, CSA1, CSA0, CLKB, CEB, OCEB, WEB, RSTB, CSB2, CSB1, CSB0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
    DIA4, DIA3, DIA2, DIA1, DIA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
    DIB4, DIB3, DIB2, DIB1, DIB0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
    DOA4, DOA3, DOA2, DOA1, DOA0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
    DOB4, DOB3, DOB2, DOB1, DOB0
);
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
    parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG";
    parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
    parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000";
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB";
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "ENABLED";
    parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0, INITVAL_04
        = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0, INITVAL_09 = 0,
        INITVAL_0A = 0, INITVAL_0B = 0, INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0,
        INITVAL_0F = 0, INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0,
        INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0, INITVAL_18 = 0,
        INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0, INITVAL_1C = 0, INITVAL_1D = 0,
        INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0,
        INITVAL_23 = 0, INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0,
        INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0, INITVAL_2C = 0,
        INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0, INITVAL_30 = 0, INITVAL_31 = 0,
        INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0,
        INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0,
        INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;

    generate
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CSDECODE_A != "0b000"
            || CSDECODE_B != "0b000" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB"
            || (DATA_WIDTH_A == 36) != (DATA_WIDTH_B == 36)
            || (WRITEMODE_A != "NORMAL" && WRITEMODE_A != "READBEFOREWRITE")
            || (WRITEMODE_B != "NORMAL" && WRITEMODE_B != "READBEFOREWRITE"))
            DP16KD_in_a_mode_that_is_not_modelled unknown();
    endgenerate

    reg [17:0] rows [0:1023];
    localparam [64*320-1:0] IMAGE = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
        INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33,
        INITVAL_32, INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D,
        INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27,
        INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21,
        INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B,
        INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16, INITVAL_15,
        INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
        INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09,
        INITVAL_08, INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03,
        INITVAL_02, INITVAL_01, INITVAL_00};
    integer row;
    initial for (row = 0; row < 1024; row = row + 1)
        rows[row] = IMAGE[row / 16 * 320 + row % 16 * 20 +: 18];

    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    wire [17:0] dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
        DIA4, DIA3, DIA2, DIA1, DIA0};
    wire [17:0] dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
        DIB4, DIB3, DIB2, DIB1, DIB0};
    wire a_on = CEA && {CSA2, CSA1, CSA0} == 0, b_on = CEB && {CSB2, CSB1, CSB0} == 0;

    // Least bit in its row of what a port of less than 18 bits accesses.
    function integer low(input integer width, input [3:0] address);
        low = width == 9 ? address[3] * 9 :
              address[3] * 9 + (width == 4 ? address[2] * 4 :
                                width == 2 ? address[2:1] * 2 : address[2:0]);
    endfunction

    // Bits of its row that a port writes.
    function [17:0] mask(input integer width, input [3:0] address);
        mask = width >= 18 ? {{9{address[1]}}, {9{address[0]}}} :
               ((18'd1 << width) - 18'd1) << low(width, address);
    endfunction

    function [17:0] part(input integer width, input [3:0] address, input [17:0] row);
        part = width >= 18 ? row : row >> low(width, address) & ((18'd1 << width) - 18'd1);
    endfunction

    wire [17:0] a_mask = WEA && a_on ? mask(DATA_WIDTH_A, ada[3:0]) : 18'd0;
    wire [17:0] b_mask = WEB && b_on ? mask(DATA_WIDTH_B, adb[3:0]) : 18'd0;
    wire [17:0] a_data = DATA_WIDTH_A >= 18 ? dia : dia << low(DATA_WIDTH_A, ada[3:0]);
    wire [17:0] b_data = DATA_WIDTH_B >= 18 ? dib : dib << low(DATA_WIDTH_B, adb[3:0]);

    reg [17:0] a_read, b_read;
    generate
        if (DATA_WIDTH_A == 36) begin : wide
            wire [17:0] high_mask = WEA && a_on ? {{9{ada[3]}}, {9{ada[2]}}} : 18'd0;
            wire collides = (a_mask | high_mask) != 0 && ada[13:5] == adb[13:5];
            always @(posedge CLKA) begin
                rows[{ada[13:5], 1'b0}] <= rows[{ada[13:5], 1'b0}] & ~a_mask | dia & a_mask;
                rows[{ada[13:5], 1'b1}] <= rows[{ada[13:5], 1'b1}] & ~high_mask | dib & high_mask;
            end
            always @(posedge CLKB)
                if (RSTB) {b_read, a_read} <= 36'd0;
                else if (b_on)
                    {b_read, a_read} <= collides ? {36{1'bx}} :
                                        {rows[{adb[13:5], 1'b1}], rows[{adb[13:5], 1'b0}]};
        end else begin : dual
            wire same = ada[13:4] == adb[13:4];
            // The clocks of the two ports are one in every machine.
            always @(posedge CLKA) begin
                rows[ada[13:4]] <= rows[ada[13:4]] & ~a_mask | a_data & a_mask;
                if (b_mask != 0)
                    rows[adb[13:4]] <= (rows[adb[13:4]] & ~b_mask | b_data & b_mask);
                if (RSTA) a_read <= 18'd0;
                else if (a_on && (a_mask == 0 || WRITEMODE_A == "READBEFOREWRITE"))
                    a_read <= same && b_mask != 0 ? {18{1'bx}} :
                              part(DATA_WIDTH_A, ada[3:0], rows[ada[13:4]]);
            end
            always @(posedge CLKB)
                if (RSTB) b_read <= 18'd0;
                else if (b_on && (b_mask == 0 || WRITEMODE_B == "READBEFOREWRITE"))
                    b_read <= same && a_mask != 0 ? {18{1'bx}} :
                              part(DATA_WIDTH_B, adb[3:0], rows[adb[13:4]]);
        end
    endgenerate

    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
        DOA4, DOA3, DOA2, DOA1, DOA0} = a_read;
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
        DOB4, DOB3, DOB2, DOB1, DOB0} = b_read;
endmodule

// Multiplier of 18 × 18 bits, without registers or with one at the output.
module MULT18X18D (
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input SRIA17, SRIA16, SRIA15, SRIA14, SRIA13, SRIA12, SRIA11, SRIA10, SRIA9, SRIA8, SRIA7,
    SRIA6, SRIA5, SRIA4, SRIA3, SRIA2, SRIA1, SRIA0,
    input SRIB17, SRIB16, SRIB15, SRIB14, SRIB13, SRIB12, SRIB11, SRIB10, SRIB9, SRIB8, SRIB7,
    SRIB6, SRIB5, SRIB4, SRIB3, SRIB2, SRIB1, SRIB0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK3, CLK2, CLK1, CLK0, CE3, CE2, CE1, CE0,
    input RST3, RST2, RST1, RST0,
    output SROA17, SROA16, SROA15, SROA14, SROA13, SROA12, SROA11, SROA10, SROA9, SROA8, SROA7,
    SROA6, SROA5, SROA4, SROA3, SROA2, SROA1, SROA0,
    output SROB17, SROB16, SROB15, SROB14, SROB13, SROB12, SROB11, SROB10, SROB9, SROB8, SROB7,
    SROB6, SROB5, SROB4, SROB3, SROB2, SROB1, SROB0,
    output ROA17, ROA16, ROA15, ROA14, ROA13, ROA12, ROA11, ROA10, ROA9, ROA8, ROA7, ROA6, ROA5,
    ROA4, ROA3, ROA2, ROA1, ROA0,
    output ROB17, ROB16, ROB15, ROB14, ROB13, ROB12, ROB11, ROB10, ROB9, ROB8, ROB7, ROB6, ROB5,
    ROB4, ROB3, ROB2, ROB1, ROB0,
    output ROC17, ROC16, ROC15, ROC14, ROC13, ROC12, ROC11, ROC10, ROC9, ROC8, ROC7, ROC6, ROC5,
    ROC4, ROC3, ROC2, ROC1, ROC0,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
    P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0,
    output SIGNEDP
);
    parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE", REG_INPUTC_CLK = "NONE";
    parameter REG_PIPELINE_CLK = "NONE", REG_OUTPUT_CLK = "NONE";
    parameter REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0", GSR = "ENABLED";

    generate
        if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_INPUTC_CLK != "NONE"
            || REG_PIPELINE_CLK != "NONE"
            || REG_OUTPUT_CLK != "NONE" && {REG_OUTPUT_CLK, REG_OUTPUT_CE, REG_OUTPUT_RST}
                != {"CLK0", "CE0", "RST0"})
            MULT18X18D_in_a_mode_that_is_not_modelled unknown();
    endgenerate

    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    wire signed [35:0] left = $signed({{18{a[17] & SIGNEDA}}, a});
    wire signed [35:0] right = $signed({{18{b[17] & SIGNEDB}}, b});
    reg [35:0] kept = 0;
    always @(posedge CLK0)
        if (RST0) kept <= 0;
        else if (CE0) kept <= left * right;
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
        P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} =
        REG_OUTPUT_CLK == "NONE" ? left * right : kept;
    assign SIGNEDP = SIGNEDA | SIGNEDB;
endmodule
