"""Builds in folders, and manifests with a right checksum but other fields."""

import json

import numpy as np

from eie_compiler.files.manifest_folder import MANIFEST, manifest_checksum
from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS


def compile_small(**options):
    """Compile a network of two layers for the preset tiny."""
    network = random_network(np.random.default_rng(11), [9, 20, 6], v_width=3, frac=4)
    return compile_network(network, PRESETS["tiny"], **options)


def reseal(folder, **changes):
    """Change the manifest and recompute its checksum."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | changes
    manifest["checksum"] = manifest_checksum(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
