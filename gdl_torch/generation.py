"""Text from a Lightning language model: the twin of `gdl_numpy.generation`, with its sampler.

model = load_language_model("lightning_logs/version_0/checkpoints/epoch=9-step=210.ckpt")
for token in generate(model, model.vocabulary.encode("ROMEO:"), length=500, temperature=0.8, rng=0):
    print(model.vocabulary.decode([token]), end="")
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from gdl_numpy.checkpoint import CheckpointError
from gdl_numpy.generation import Sampler, write
from gdl_torch.export import load_model
from gdl_torch.models import LanguageModel
from gdl_torch.onednn import without_onednn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from jaxtyping import Integer
    from torch import nn

    from gdl_numpy.generation import Step


def load_language_model(path: str | Path) -> LanguageModel:
    """Builds the language model that a .safetensors file, or a .ckpt of Lightning's, holds, in eval mode.

    Its vocabulary comes with it, where the file has one.

    Raises:
        CheckpointError: the file cannot be used, or holds another kind of model.
    """
    model = load_model(path)
    if not isinstance(model, LanguageModel):
        raise CheckpointError(
            f"{path} holds a model that writes no text, {type(model).__name__}: "
            "give the checkpoint of a language model"
        )
    return model


def generate(
    model: LanguageModel,
    prompt: Integer[np.ndarray, " tokens"] | Sequence[int],
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    rng: np.random.Generator | int | None = None,
    *,
    exclude: Sequence[int] = (),
) -> Iterator[int]:
    """Reads a prompt, and goes on from there, on the device where the model is.

    Arguments, result and errors are those of `gdl_numpy.generation.generate`, and so is the text, but where
    rounding decides: where two tokens are equally likely, or chance falls just between two.
    """
    sampler = Sampler(temperature, top_k, tuple(exclude))
    return write(_stepper(model), model.vocab_size, prompt, length, sampler, rng)


def _stepper(model: LanguageModel) -> Step:
    """What `gdl_numpy`'s models have as `stepper`."""
    device = next(model.parameters()).device
    modules = list(model.modules())

    def step(token: int, state: Any) -> tuple[np.ndarray, Any]:
        ids = torch.tensor([[token]], device=device)
        # Nothing outlives the step: between two of them the caller's own code runs.
        with torch.inference_mode(), _one_by_one(modules):
            logits, state = model(ids, state)
            if model.ahead == 0:  # those were the token's own: what comes first in the next call follows it
                logits, _ = model(ids, state)
            return logits[0, 0].cpu().double().numpy(), state

    return step


@contextmanager
def _one_by_one(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Within, no module is in training mode, and kernels are those that suit one token at a time.

    By default cuDNN rounds to TF32's ten bits, which a single column gains nothing from, and oneDNN's LSTM
    lays out all weights anew in each call, which takes longer than the step.
    """
    trained = [module for module in modules if module.training]
    cudnn = torch.backends.cudnn
    for module in trained:
        module.training = False
    try:
        with (
            without_onednn(),
            cudnn.flags(enabled=cudnn.enabled, deterministic=True, allow_tf32=False),
        ):
            yield
    finally:
        for module in trained:
            module.training = True
