"""A short training run with all kinds of stages."""

from eie_compiler.training.loop import train
from eie_compiler.training.module import Module
from eie_compiler.training.recipes import dense_stages, pruning_stages, sharing_stage

OPTIONS = {"rate": 1e-2, "decay": 1e-3, "dropout": 0.2}

STAGES = [*dense_stages(2, **OPTIONS), *pruning_stages(2, 1, (0.4, 0.6), **OPTIONS),
          sharing_stage(2, v_width=3, kmeans_init="linear", update_labels=True, rate=1e-2)]


def learn(data, stages, seed=7, **options):
    """Train a new module; return it and the records."""
    module = Module.new([8, 16, 4], seed)
    return module, train(module, data, stages, seed=seed, batch=50, **options)


def bits(module):
    """Get the bytes of all tensors of a module."""
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}
