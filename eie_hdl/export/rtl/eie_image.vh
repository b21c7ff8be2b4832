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
            reg [WIDTH+1023:0] word;    // counted, not used; wider to find surplus digits
            /* verilator lint_on UNUSEDSIGNAL */
            reg too_wide;
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
                    too_wide = 1'b0;
                    if (file != 0)
                        while (!too_wide && $fscanf(file, "%h", word) == 1 && ^word !== 1'bx) begin
                            too_wide = |word[WIDTH+1023:WIDTH];
                            n_words = n_words + 1;
                        end

                    if (file == 0) begin
                        $display("ERROR: %m: cannot read the image %0s/%0s", folder, IMAGE);
                        $fatal(1, "a memory has no contents");
                    end else if (too_wide) begin
                        $display("ERROR: %m: word %0d of the image %0s/%0s has more than %0d bits",
                                 n_words - 1, folder, IMAGE, WIDTH);
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
