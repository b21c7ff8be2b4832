"""Verilog without memory images."""

from eie_flows.images import remove_images


def test_parameters_of_images_are_removed():
    text = """module eie_pe #(parameter IMAGE = "", parameter IMAGE_FOLDER = "") (clk);
  eie_sram #(
    .ADDR_WIDTH(32'd10),
    .IMAGE({IMAGE, ".act.hex"}),
    .IMAGE_FOLDER(IMAGE_FOLDER),
    .WIDTH(32'd64)
  ) act (
  );
  eie_pe #(
    .IMAGE("pe_0"),
    .IMAGE_FOLDER(IMAGE_FOLDER)
  ) pe_0 (
  );
  eie_regfile #(
    .WIDTH(32'd10),
    .IMAGE(IMAGE)
  ) acc (
  );
"""
    assert remove_images(text) == """module eie_pe (clk);
  eie_sram #(
    .ADDR_WIDTH(32'd10),
    .WIDTH(32'd64)
  ) act (
  );
  eie_pe pe_0 (
  );
  eie_regfile #(
    .WIDTH(32'd10)
  ) acc (
  );
"""
