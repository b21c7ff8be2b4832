#!/usr/bin/env bash
# Build the wheel, install it into an empty environment, and run its commands in an empty folder.
# PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

# The checkout must not be importable, and no file may remain afterwards.
unset PYTHONPATH VIRTUAL_ENV
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export EIE_CACHE=$work/cache
bin=$work/venv/bin

"${PYTHON:-python3}" -m venv "$work/venv"
"$bin/pip" wheel --quiet --no-deps --wheel-dir "$work/dist" .
wheel=$(echo "$work"/dist/eie_hdl-*.whl)
echo "$(basename "$wheel"): $(stat -c %s "$wheel") bytes, $("$bin/python" --version)"
"$bin/python" - "$wheel" <<'END'
import sys, zipfile
names = {name.split("/")[0] for name in zipfile.ZipFile(sys.argv[1]).namelist()}
foreign = sorted(name for name in names if not name.startswith("eie_"))
sys.exit(f"a wheel must install packages eie_... only, not {', '.join(foreign)}" if foreign else 0)
END
# Python compiles the few modules that are imported.
"$bin/pip" install --quiet --no-compile "$wheel[sim,demo]"

mkdir "$work/empty"
cd "$work/empty"
eie() {
    echo "eie $*"
    "$bin/eie" "$@" > output.txt 2>&1 || {
        cat output.txt
        exit 1
    }
}

# Run a command that needs an extra which is not installed.
without_extra() {
    local extra=$1
    shift
    echo "eie $* without [$extra]"
    ! "$bin/eie" "$@" > output.txt 2>&1
    grep -F "but was not found: pip install '$wheel[$extra]'" output.txt | grep -q "^eie: " || {
        cat output.txt
        exit 1
    }
}

# Its exit code is 0, although some extras are not installed.
echo "eie doctor"
"$bin/eie" doctor --json > doctor.json
"$bin/python" - "$wheel" <<'END'
import json, sys
tools = {tool["name"]: tool for tool in json.load(open("doctor.json", encoding="utf-8"))["tools"]}
for name in ("amaranth", "cocotb", "scikit-learn", "verilator", "g++", "libpython"):
    assert tools[name]["ok"], tools[name]
assert tools["torch"]["advice"] == f"not found: pip install '{sys.argv[1]}[train]'", tools["torch"]
END

eie verilog --preset tiny -o verilog
test -s verilog/eie.v
eie registers --no-peakrdl -o registers
eie demo --pes 2 --images 4 -o demo
eie demo --driver c --pes 2 --images 2 -o demo-c
"$bin/python" -c 'import sklearn.datasets as d, numpy as np
np.save("x.npy", d.load_digits().data[:5] / 16)'
eie compress demo/dense.npz --density 0.25 --calibrate x.npy -o network.npz
eie info network.npz
eie compile network.npz --pes 2 -o build
eie run build --input x.npy --engine verilator -o results
eie export build -o c
gcc -std=c99 -Wall -Werror -c c/*.c
without_extra train train x.npy --layers 8 -o weights.npz
without_extra bench explore -o explore
without_extra synth synth -o synth
without_extra registers registers -o registers
eie cache
eie cache --clear
test -z "$(find "$EIE_CACHE" -mindepth 1 -type d)"
