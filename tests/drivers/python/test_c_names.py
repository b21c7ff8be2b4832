"""Names that C, C++ or POSIX use, compared with the headers of this computer."""

import re
import subprocess

import pytest

from eie_driver.c_names import reason_against
from eie_hdl.identifiers import C, find_fault


@pytest.mark.parametrize(("name", "reason"), [
    ("linux", "a macro of C"), ("errno", "a macro of C"),
    ("math", "a header of C or POSIX"), ("printf", "a function of C"), ("main", "a function of C"),
    ("sinf", "a function of C"), ("write", "a name of POSIX"), ("size_t", "a type of C"),
    ("std", "a namespace of C++"), ("eie", "a name of the driver"),
    ("eie_registers", "a name of the driver"), ("model", ""), ("digits", ""), ("isolet", "")])
def test_a_name_is_refused_for_the_meaning_that_it_has(name, reason):
    assert reason_against(name) == reason


def test_every_function_and_macro_of_the_standard_headers_is_refused(tmp_path):
    headers = ("assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp "
               "signal stdarg stdbool stddef stdint stdio stdlib string time wchar wctype").split()
    assert all(reason_against(header) for header in headers)
    (tmp_path / "all.c").write_text("".join(f"#include <{header}.h>\n" for header in headers),
                                    encoding="utf-8")

    def run(*options):
        return subprocess.run(["gcc", *options, "all.c"], cwd=tmp_path, check=True,
                              capture_output=True, encoding="utf-8").stdout

    run("-std=c99", "-aux-info", "functions", "-c")
    names = re.findall(r"\*/ extern .*?\b([a-z]\w*) \(",
                       (tmp_path / "functions").read_text(encoding="utf-8"))
    names += re.findall(r"#define ([a-z][a-z0-9_]*)", run("-std=c99", "-dM", "-E"))
    (tmp_path / "all.c").write_text("", encoding="utf-8")
    names += re.findall(r"#define ([a-z][a-z0-9_]*)", run("-std=gnu99", "-dM", "-E"))
    assert len(names) > 400
    assert [name for name in names if not find_fault(name, C) and not reason_against(name)] == []
