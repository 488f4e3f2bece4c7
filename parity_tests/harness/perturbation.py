"""A bound for what has no formula: how far it moves when what goes in, and all in it, is off at random."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from parity_tests.harness.disturbance import Signs, largest_movement
from parity_tests.harness.disturbed_numpy import Errors
from parity_tests.harness.disturbed_torch import DisturbedOperations
from parity_tests.harness.evaluate import Arrays, Evaluation, flatten, is_floating, unflatten
from parity_tests.harness.evaluate_torch import run_torch
from parity_tests.harness.rounding import probable_gamma

if TYPE_CHECKING:
    from collections.abc import Sequence

DRAWS = 8  # pairs of opposite random perturbations


def perturbation_bound(
    layer: nn.Module, inputs: Sequence[Any], targets: Sequence[Any], grads: Arrays, u: float
) -> Evaluation:
    """How far each tensor moves when everything that goes in is off by what rounding could do.

    A numerically stable evaluation gives nearly the right answer to nearly the right question (Higham, §1.5):
    the exact result for inputs, parameters and output gradients that are off by `probable_gamma`, itself
    rounded. No reduction is longer than the largest tensor in sight. Where the evaluation is not stable, each
    of its operations is: so these are off, too.
    """
    exact = run_torch(layer, inputs, targets, lambda _: grads)
    sizes = [
        a.size for a in (*flatten(inputs), *exact.outputs, *exact.grad_inputs, *exact.grad_params.values())
    ]
    relative = probable_gamma(max(sizes, default=1), u)
    perturbed = copy.deepcopy(layer)

    def run(signs: Signs | None) -> Evaluation:
        if signs is None:
            return exact

        def perturb(a: np.ndarray) -> np.ndarray:
            return a * (1 + relative * signs(a)) if is_floating(a) else a

        with torch.no_grad():
            for parameter, original in zip(perturbed.parameters(), layer.parameters(), strict=True):
                parameter.copy_(torch.from_numpy(perturb(original.detach().numpy())))
        # Torch's own recurrent layers run thousands, and each of their steps is a stable evaluation.
        operations = nullcontext() if isinstance(layer, nn.RNNBase) else DisturbedOperations(Errors(u, signs))
        with operations:
            return run_torch(
                perturbed,
                unflatten(tuple(inputs), iter([perturb(a) for a in flatten(inputs)])),
                targets,
                lambda _: [perturb(g) for g in grads],
            )

    _, movement = largest_movement(run, DRAWS)
    return exact.map(lambda value, moved: np.maximum(relative * np.abs(value), moved), movement)
