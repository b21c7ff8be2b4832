"""Constants in C source, for tests."""

import re


def read_array(text, name):
    """Parse the elements of a C array."""
    body = re.search(rf" {name}\[\] = {{(.*?)}};", text, re.S)[1]
    return [int(value.strip().removesuffix("u").replace("EIE_NOT_SENT", "-1"), 0)
            for value in body.split(",") if value.strip()]
