"""Configuration: valid ranges, rejected values and error messages."""

import ast
import dataclasses
import re
import sys

import pytest

from eie_hdl import config as config_module
from eie_hdl.config import PRESETS, ConfigError, EIEConfig, clog2
from eie_hdl.format import Layouts

#: Least value, greatest value and power-of-two constraint of each size.
RANGES = {
    "n_pe": (1, 256, True),
    "v_width": (2, 8, False),
    "z_width": (2, 8, False),
    "entries_per_word": (1, 16, True),
    "queue_depth": (2, 256, False),
    "act_width": (4, 24, False),
    "codebook_width": (4, 24, False),
    "acc_width": (8, 60, False),
    "acc_depth": (4, 1024, True),
    "spmat_depth": (2, 1 << 20, False),
    "ptr_depth": (2, 1 << 20, False),
    "act_depth": (2, 1 << 16, False),
    "n_codebooks": (1, 256, False),
    "program_depth": (2, 4096, False),
    "mac_stages": (4, 5, False),
}

FLAGS = ("drop_empty_columns", "readback", "loops", "local", "maximum", "products", "tables",
         "scales")

#: Sizes that allow every other size its least and its greatest value.
ROOMY = {"act_width": 4, "codebook_width": 4, "acc_depth": 4, "spmat_depth": 1024}

NAMES = ("n_pe, v_width, z_width, entries_per_word, queue_depth, drop_empty_columns, act_width, "
         "codebook_width, acc_width, acc_depth, spmat_depth, ptr_depth, act_depth, n_codebooks, "
         "program_depth, readback, mac_stages, loops, local, maximum, products, tables, scales")


def refuses(message, make):
    """Check that a configuration is rejected with exactly this message."""
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        make()


def allowed(name):
    low, high, power_of_two = RANGES[name]
    kind = "a power of two" if power_of_two else "an integer"
    return f"{name} must be {kind} from {low} to {high}, not "


def test_every_size_has_a_range():
    fields = {field.name for field in dataclasses.fields(EIEConfig)}
    assert fields == {*RANGES, *FLAGS}


@pytest.mark.parametrize("name", RANGES)
def test_both_ends_of_a_range_are_allowed(name):
    low, high, _ = RANGES[name]
    for value in (low, high):
        others = {"acc_depth": 4, "entries_per_word": 16} if name == "spmat_depth" else ROOMY
        assert getattr(EIEConfig(**{**others, name: value}), name) == value


@pytest.mark.parametrize("name", RANGES)
def test_value_outside_its_range_is_rejected(name):
    low, high, _ = RANGES[name]
    for value in (low - 1, high + 1, -1, 0):
        if not low <= value <= high:
            refuses(f"{allowed(name)}{value}", lambda: EIEConfig(**{name: value}))  # noqa: B023


@pytest.mark.parametrize("name", [name for name, (_, _, power) in RANGES.items() if power])
def test_size_that_is_not_a_power_of_two_is_rejected(name):
    refuses(f"{allowed(name)}12", lambda: EIEConfig(**{name: 12}))


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", [True, 8.0, "8", None])
def test_size_that_is_not_an_integer_is_rejected(name, value):
    refuses(f"{allowed(name)}{value!r}", lambda: EIEConfig(**{name: value}))


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [1, 0, "yes", None])
def test_a_flag_must_be_a_bool(name, value):
    refuses(f"{name} must be true or false, not {value!r}", lambda: EIEConfig(**{name: value}))


def test_accumulator_must_hold_a_product():
    refuses("acc_width must hold a product, act_width + codebook_width = 29 bits or more, not 28",
            lambda: EIEConfig(act_width=16, codebook_width=13, acc_width=28))
    assert EIEConfig(act_width=16, codebook_width=13, acc_width=29).acc_width == 29


def test_spmat_must_hold_more_than_a_full_column():
    refuses("spmat_depth must hold more than one full column, more than acc_depth = 64 entries "
            "at 8 per word, not 8 words", lambda: EIEConfig(spmat_depth=8))
    assert EIEConfig(spmat_depth=9).n_entries == 72


def test_local_mode_is_one_of_loops():
    refuses("loops must be true if local is, as local mode is one of loops",
            lambda: EIEConfig(local=True))
    assert EIEConfig(loops=True, local=True).local


def test_maxima_are_those_of_loops():
    refuses("loops must be true if maximum is, as maxima are those of loops",
            lambda: EIEConfig(maximum=True))
    assert EIEConfig(loops=True, maximum=True).maximum


def test_a_maximum_is_in_one_part_of_an_accumulator():
    narrow = {"act_width": 16, "codebook_width": 8, "loops": True, "maximum": True}
    refuses("acc_width must be 32 bits or more, or mac_stages 4, if maximum is true, not 31",
            lambda: EIEConfig(acc_width=31, mac_stages=5, **narrow))
    assert EIEConfig(acc_width=32, mac_stages=5, **narrow).acc_parts == (16, 16)
    assert EIEConfig(acc_width=24, **narrow).acc_parts == (24,)


def test_products_are_those_of_loops():
    refuses("loops must be true if products is, as products are those of loops",
            lambda: EIEConfig(products=True))
    assert EIEConfig(loops=True, products=True).products


def test_a_factor_takes_the_place_of_a_weight():
    refuses("act_width must be at most codebook_width = 12 if products is true, not 13",
            lambda: EIEConfig(act_width=13, codebook_width=12, loops=True, products=True))
    assert EIEConfig(act_width=12, codebook_width=12, loops=True, products=True).products


def test_tables_are_those_of_loops():
    refuses("loops must be true if tables is, as tables are those of loops",
            lambda: EIEConfig(tables=True))
    assert EIEConfig(loops=True, tables=True).tables


def test_the_operand_of_a_function_has_a_fraction_bit():
    refuses("act_width must be 6 or more if tables is true, not 5",
            lambda: EIEConfig(act_width=5, loops=True, tables=True))
    assert EIEConfig(act_width=6, loops=True, tables=True).tables


def test_scales_are_those_of_loops():
    refuses("loops must be true if scales is, as scales are those of loops",
            lambda: EIEConfig(scales=True))
    assert EIEConfig(loops=True, scales=True).scales


def test_a_quantised_result_has_as_many_bits_as_a_zero_point():
    refuses("act_width must be 9 or more if scales is true, not 8",
            lambda: EIEConfig(act_width=8, loops=True, scales=True))
    assert EIEConfig(act_width=9, loops=True, scales=True).scales


@pytest.mark.parametrize("act_width, least", [(9, 12), (16, 12), (17, 13), (24, 13)])
def test_an_entry_of_the_codebook_has_the_rounding_and_the_zero_point(act_width, least):
    refuses(f"codebook_width must be 8 + clog2(act_width) = {least} or more if scales is true, "
            f"not {least - 1}",
            lambda: EIEConfig(act_width=act_width, codebook_width=least - 1, loops=True,
                              scales=True))
    config = EIEConfig(act_width=act_width, codebook_width=least, loops=True, scales=True)
    assert Layouts.of(config).quantiser.size <= least


@pytest.mark.parametrize("stages, expected", [(4, 3), (5, 4)])
def test_scales_add_stages_to_the_write_back(stages, expected):
    config = EIEConfig(mac_stages=stages, loops=True, scales=True)
    assert config.scale_stages == expected
    assert dataclasses.replace(config, scales=False).scale_stages == 0


def test_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EIEConfig().n_pe = 8


def test_equal_configurations_are_one_key():
    assert len({EIEConfig(), EIEConfig(n_pe=16), PRESETS["default"]}) == 1


def test_preset_isca2016_has_the_sizes_of_the_paper():
    config = EIEConfig.isca2016()
    assert config == PRESETS["isca2016"]
    assert config.n_pe == 64
    assert (config.v_width, config.z_width, config.max_run) == (4, 4, 15)
    assert config.entries_per_word * config.entry_width == 64
    assert config.spmat_depth * config.entries_per_word * config.entry_width == 128 * 1024 * 8
    assert config.n_pointers * 16 == 32 * 1024 * 8
    assert config.act_depth * 4 * config.act_width == 2 * 1024 * 8
    assert (config.queue_depth, config.acc_depth, config.drop_empty_columns) == (8, 64, False)


def test_presets_take_changes():
    config = EIEConfig.isca2016(n_pe=4, spmat_depth=512)
    assert config == dataclasses.replace(PRESETS["isca2016"], n_pe=4, spmat_depth=512)


@pytest.mark.parametrize("name", PRESETS)
def test_configuration_survives_a_round_trip_through_a_mapping(name):
    values = PRESETS[name].as_dict()
    assert list(values) == NAMES.split(", ")
    assert EIEConfig.from_mapping(values) == PRESETS[name]
    assert EIEConfig.from_mapping({"preset": name}) == PRESETS[name]


def test_mapping_changes_its_preset_and_is_not_modified():
    values = {"preset": "tiny", "n_pe": 1}
    assert EIEConfig.from_mapping(values) == dataclasses.replace(PRESETS["tiny"], n_pe=1)
    assert EIEConfig.from_mapping({"n_pe": 1}) == EIEConfig(n_pe=1)
    assert values == {"preset": "tiny", "n_pe": 1}


@pytest.mark.parametrize("preset", ["huge", 3, ["tiny"]])
def test_unknown_preset_is_rejected(preset):
    refuses(f"preset must be one of default, isca2016, tiny, not {preset!r}",
            lambda: EIEConfig.from_mapping({"preset": preset}))


def test_unknown_name_is_rejected():
    refuses(f"n_pes is not a parameter; those are {NAMES}",
            lambda: EIEConfig.from_mapping({"n_pes": 4}))


def test_toml_file_is_read(tmp_path):
    path = tmp_path / "machine.toml"
    path.write_text('# ours\npreset = "isca2016"\nn_pe = 8\ndrop_empty_columns = true\n',
                    encoding="utf-8")
    assert EIEConfig.from_toml(path) == EIEConfig.isca2016(n_pe=8, drop_empty_columns=True)
    assert EIEConfig.from_toml(str(path)).n_pe == 8


@pytest.mark.parametrize("text, message", [
    ("n_pe = 3", "n_pe must be a power of two from 1 to 256, not 3"),
    ("n_pe = 4.0", "n_pe must be a power of two from 1 to 256, not 4.0"),
    ("[machine]\nn_pe = 4", f"machine is not a parameter; those are {NAMES}"),
    ("n_pe 3", "must be TOML: Expected '=' after a key in a key/value pair (at line 1, column 6)"),
    ("n_pe" + ".a" * 201, "must be TOML with at most 200 dots in a line"),
    ("#" * 65537, "must be a TOML file of at most 65536 bytes"),
])
def test_error_in_a_toml_file_names_the_file(tmp_path, text, message):
    path = tmp_path / "machine.toml"
    path.write_text(text, encoding="utf-8")
    refuses(f"{path}: {message}", lambda: EIEConfig.from_toml(path))


@pytest.mark.parametrize("text", [
    "n_pe = " + "[" * 60_000, "n_pe = " + "9" * 60_000, "n_pe = " + "{a=" * 16_000,
    f"n_pe = {'[' * 200}{']' * 200}", ("a" * 300 + " = 1"), 'preset = "' + "a" * 60_000 + '"',
    "n_pe" + ".a" * 200 + " = 1",
], ids=["lists", "digits", "tables", "value", "name", "preset", "dots"])
def test_toml_of_any_depth_or_size_is_refused_in_a_short_message(tmp_path, text):
    path = tmp_path / "machine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        EIEConfig.from_toml(path)
    assert len(str(error.value).removeprefix(str(path))) < 500


def test_file_that_is_not_text_is_rejected(tmp_path):
    path = tmp_path / "machine.toml"
    path.write_bytes(b"n_pe = \xff")
    refuses(f"{path}: must be TOML: 'utf-8' codec can't decode byte 0xff in position 7: invalid "
            "start byte", lambda: EIEConfig.from_toml(path))


@pytest.mark.parametrize("n_pe, n_levels", [
    (1, 0), (2, 1), (4, 1), (8, 2), (16, 2), (32, 3), (64, 3), (128, 4), (256, 4)])
def test_each_level_of_the_tree_has_up_to_four_branches(n_pe, n_levels):
    assert EIEConfig(n_pe=n_pe).n_levels == n_levels


@pytest.mark.parametrize("sizes", [
    {}, {"acc_width": 32}, {"act_width": 4, "codebook_width": 4, "acc_width": 8},
    {"acc_width": 60}, {"act_width": 24}])
def test_any_bit_of_an_accumulator_can_be_shifted_into_range(sizes):
    config = EIEConfig(**sizes)
    assert config.max_shift >= config.acc_width - config.act_width
    assert (config.max_shift + 1).bit_count() == 1    # all values of the field


def test_a_stage_of_the_mac_adds_a_part_of_an_accumulator():
    assert [EIEConfig(mac_stages=stages).acc_parts for stages in (4, 5)] == [(40,), (20, 20)]
    assert EIEConfig(**ROOMY, acc_width=9, mac_stages=5).acc_parts == (4, 5)


def test_software_does_not_depend_on_the_stages_of_the_mac():
    config = EIEConfig(mac_stages=5)
    assert config.interface == EIEConfig().interface
    assert config.as_dict() == {**config.interface, "mac_stages": 5}


def test_largest_bias_shift_is_a_positive_weight():
    config = EIEConfig(codebook_width=7)
    assert 1 << config.max_bias_shift == 32    # of -64 to 63
    assert config.tile_words * 4 == config.acc_depth
    assert config.entry_width == 10


def test_clog2_is_the_width_of_an_index():
    assert [clog2(n) for n in (1, 2, 3, 4, 5, 64, 65)] == [0, 1, 2, 2, 3, 6, 7]


def test_configuration_needs_only_the_standard_library():
    with open(config_module.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    modules = [name for node in ast.walk(tree)
               for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                            else [node.module] if isinstance(node, ast.ImportFrom) else [])]
    assert modules
    assert {name.split(".")[0] for name in modules} <= sys.stdlib_module_names
