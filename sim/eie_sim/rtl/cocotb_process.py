"""Process in which :func:`eie_sim.rtl.cocotb_bench.run_bench` runs cocotb's runner.

The runner has no time limit and exits its process when a test fails.
"""

import json
import sys

from cocotb_tools.runner import get_runner

__all__ = ["main"]


def main(text: str) -> None:
    """Run the job described by `text`, in JSON."""
    job = json.loads(text)
    traced = job["waves"] is not None
    get_runner(job["simulator"]).test(
        hdl_toplevel=job["top"], hdl_toplevel_lang="verilog", test_module=job["bench"],
        build_dir=job["build_dir"], test_dir=job["test_dir"], results_xml=job["results"],
        plusargs=job["plusargs"], waves=traced,
        test_args=["--trace-file", job["waves"]]
        if traced and job["simulator"] == "verilator" else [])


if __name__ == "__main__":
    main(sys.argv[1])
