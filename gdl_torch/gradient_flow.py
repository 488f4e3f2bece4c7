"""How far back in time gradients reach, by autograd: the twin of `gdl_numpy.gradient_flow`."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F

from gdl_numpy.gradient_flow import ACTIVATIONS, START, WEIGHT, check_reach
from gdl_torch.models import LSTMLanguageModel, RNNLanguageModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float64, Int, Int64
    from torch import Tensor

    from gdl_torch.models import LanguageModel


def demonstration(
    activation: Literal["sigmoid", "relu"], steps: int = 10
) -> tuple[Float64[np.ndarray, "states 2"], Float64[np.ndarray, "states 2"]]:
    """Chapter 14's: a_k = f(a_{k−1} W), and the gradient of the sum of the last, back through all of them.

    Returns:
        a_0 … a_steps and their gradients, the last of which are ones.

    Raises:
        ValueError: another activation.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    weight = torch.tensor(WEIGHT, dtype=torch.float64)
    a = [torch.tensor(START, dtype=torch.float64, requires_grad=True)]
    for _ in range(steps):
        a.append(getattr(torch, activation)(a[-1] @ weight))
    grads = torch.autograd.grad(a[-1].sum(), a)
    return torch.stack(a).detach().numpy(), torch.stack(grads).numpy()


def gradient_reach(
    model: LanguageModel, ids: Int[np.ndarray, "time batch"], steps: int
) -> dict[str, Float64[np.ndarray, " steps"]]:
    """How much the state of some steps ago matters: ‖dL/ds_{T−k}‖ for k = 1 … steps, mean over the batch.

    L is the loss of one prediction alone, that of the last id from all those before, and s_{T−k} the state
    before the last k of these were read. All in float64 and without dropout, where the model is. The model is
    not changed.

    Args:
        model: an RNNLanguageModel or LSTMLanguageModel.
        ids: columns of running text. All but the last steps + 1 are read first, to arrive at a state.
        steps: how far to go back.

    Returns:
        under the name of each state, "h" and for an LSTM "c", the norm over all its layers, for each k.

    Raises:
        ValueError: another model, or less text than that.
    """
    check_reach(model, (RNNLanguageModel, LSTMLanguageModel), ids.shape, steps)
    exact = copy.deepcopy(model).double().eval()
    text = torch.from_numpy(np.array(ids)).to(next(exact.parameters()).device)
    with torch.no_grad():
        logits, state = exact(text[: -1 - steps])
    states: list[Tensor] = []
    for row in text[-1 - steps : -1]:
        parts = state if isinstance(state, tuple) else (state,)
        states += [part.requires_grad_() for part in parts]
        logits, state = exact(row[None], state)
    loss = F.cross_entropy(logits[0], text[-1], reduction="sum")  # each column's own, whatever the others are
    grads = torch.autograd.grad(loss, states)  # each (layers, batch, hidden)
    norms = torch.stack([grad.square().sum(dim=(0, 2)).sqrt().mean() for grad in reversed(grads)])
    of_states = norms.cpu().numpy().reshape(steps, -1).T[::-1]  # of the two of an LSTM, c came first
    return dict(zip("hc", of_states, strict=False))


def gradient_norms(
    model: LanguageModel,
    batches: Iterable[tuple[Int64[np.ndarray, "time batch"], Int64[np.ndarray, "time batch"]]],
    lr: float,
    clip_norm: float = math.inf,
) -> tuple[Float64[np.ndarray, " steps"], Float64[np.ndarray, " steps"]]:
    """Trains a copy of a model, a step of SGD for each batch, and watches the gradient.

    Args:
        model: where to begin. It is not changed.
        batches: chunks of text that go on from each other.
        lr: learning rate.
        clip_norm: longer gradients are scaled to this length.

    Returns:
        the norm of the gradient of all parameters together, before it is clipped, and the loss, in each step.
        They may be inf and nan: that is what exploding means.
    """
    model = copy.deepcopy(model)
    device = next(model.parameters()).device
    optimizer = torch.optim.SGD(model.parameters(), lr)
    model.begin(continues=True)
    norms, losses = [], []
    for batch in batches:
        inputs, targets = (torch.from_numpy(np.array(ids)).to(device) for ids in batch)
        loss = model.compare(inputs, targets).loss
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)))
        losses.append(loss.item())
        optimizer.step()
    return np.array(norms), np.array(losses)
