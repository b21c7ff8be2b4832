"""`eie info` (`eie_cli.info`): networks and builds."""

import json


def test_network_and_build_describe_themselves(network, build, eie):
    code, text = eie("info", network)
    assert code == 0 and "9 × 6" in text
    assert [layer["nonzeros"] for layer in json.loads(eie("info", network, "--json")[1])["layers"]
            ] == [27, 14]
    code, text = eie("info", build)
    assert code == 0 and "2 PEs, balanced" in text and "spmat" in text
    described = json.loads(eie("info", build, "--json")[1])
    assert described["config"]["n_pe"] == 2
    assert described["total"]["nonzeros"] == 41
