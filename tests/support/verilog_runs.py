"""Runs of plain Verilog in Icarus."""

import subprocess


def run_icarus(folder, top, files):
    """Compile files by name and text, run module `top`, and return what it prints."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    for command in (["iverilog", "-g2005", "-s", top, "-o", "bench.vvp", *files],
                    ["vvp", "-n", "bench.vvp"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8",
                              check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
