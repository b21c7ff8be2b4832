"""Skip tests of the cycle model without Numba."""

import pytest

from eie_hdl.extras import install_command

pytest.importorskip("numba", reason=install_command("bench"))
