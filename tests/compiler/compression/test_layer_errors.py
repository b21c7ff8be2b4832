import numpy as np

from eie_compiler.compression.layer_errors import LayerErrors


def test_errors_of_batches_are_relative_root_mean_squares():
    rng = np.random.default_rng(83)
    model, shared, machine = rng.normal(size=(3, 2, 50, 4))    # vectors of input and one layer
    errors = LayerErrors()
    for part in (slice(20), slice(20, 50)):
        errors.add(model[:, part], shared[:, part], machine[:, part])
    for number in range(2):
        assert np.isclose(errors.error(number), np.linalg.norm(machine[number] - model[number])
                          / np.linalg.norm(model[number]))
        assert np.isclose(errors.rounding_error(number),
                          np.linalg.norm(machine[number] - shared[number])
                          / np.linalg.norm(shared[number]))


def test_there_is_no_error_relative_to_zeros():
    errors = LayerErrors()
    errors.add([np.zeros((2, 3))], [np.ones((2, 3))], [np.ones((2, 3))])
    assert errors.error(0) is None
    assert errors.rounding_error(0) == 0
