"""Every model of the registry: NumPy and Lightning are the same function, in training too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gdl_numpy.tasks import Contrastive
from parity_tests.harness import ParityReport, check
from parity_tests.harness.model_cases import MODELS, ModelCase

if TYPE_CHECKING:
    from collections.abc import Callable

VARIANTS = [
    pytest.param(case, hparams, id=f"{case.name}({', '.join(f'{k}={v}' for k, v in hparams.items())})")
    for case in MODELS.values()
    for hparams in case.variants
]


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize(("case", "hparams"), VARIANTS)
def test_parity(
    case: ModelCase,
    hparams: dict[str, Any],
    batch: int,
    optimizer: str,
    dtype: str,
    device: str,
    agree: Callable[[ParityReport], None],
) -> None:
    """Every layer, the loss, all gradients, and three training steps with dropout; texts carry a state."""
    rng = np.random.default_rng(0)
    own, twin = case.build(hparams)
    twin.begin(continues=True)
    (inputs, targets), *others = (case.example(hparams, batch, rng) for _ in range(3))
    settings: dict[str, Any] = {"optimizer": optimizer, "optimizer_args": {"lr": 0.01}, "steps": 3}
    settings["name"] = case.name
    agree(
        check(
            case.task(own, continues=True),
            twin,
            inputs,
            targets,
            batches=others,
            dtype=dtype,
            device=device,
            **settings,
        )
    )


@pytest.mark.parametrize(("case", "hparams"), VARIANTS)
def test_empty_batch(
    case: ModelCase, hparams: dict[str, Any], dtype: str, agree: Callable[[ParityReport], None]
) -> None:
    """No examples: empty logits, and gradients that are zero, as in torch."""
    own, twin = case.build(hparams)
    inputs, _ = case.example(hparams, 0, np.random.default_rng(0))
    if issubclass(case.model.task, Contrastive):  # views, which go through the encoder in one batch
        inputs = np.concatenate(inputs)
    agree(check(own, twin, inputs, dtype=dtype, name=case.name))
