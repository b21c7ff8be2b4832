"""Skip tests of the cycle model without Numba."""

import pytest

pytest.importorskip("numba", reason="Numba is not installed: pip install 'eie-hdl[bench]'")
