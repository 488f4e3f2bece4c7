"""Two torch modules are held against each other as a NumPy and a torch one are, layer by layer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from gdl_numpy import nn as gdl_nn
from gdl_numpy.nn import Module
from parity_tests.harness import check
from parity_tests.support.reports import batch, fails

if TYPE_CHECKING:
    from collections.abc import Callable


class Block(nn.Module):
    """A residual block: arithmetic beside layers, one of them in place, and dropout."""

    def __init__(self, residual: bool = True) -> None:
        super().__init__()
        self.fc, self.relu, self.dropout = nn.Linear(5, 5), nn.ReLU(inplace=True), nn.Dropout(0.3)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.dropout(self.relu(self.fc(x)))
        return x + y if self.residual else y


class Net(nn.Module):
    """Its first block is called twice."""

    def __init__(self, residual: bool = True) -> None:
        super().__init__()
        self.first, self.second = Block(residual), Block()
        self.norm, self.head = nn.LayerNorm(5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.norm(self.second(self.first(self.first(x)))))
        return y


class Tied(nn.Module):
    """A table that is also the last layer's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.fc = nn.Embedding(7, 4), nn.Linear(4, 4)
        self.decoder = nn.Linear(4, 7, bias=False)
        self.decoder.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.decoder(torch.tanh(self.fc(self.embedding(ids))))
        return y


class Siamese(nn.Module):
    """One encoder under two names, and what it gives in a dict."""

    def __init__(self, shared: bool = True) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
        self.right = self.left if shared else nn.Sequential(nn.Linear(4, 3), nn.Tanh())

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        code = self.left(a)
        return {"distance": (code - self.right(b)).pow(2).sum(-1), "code": code}


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(3, 4, 2, batch_first=True, bidirectional=True), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        output, state = self.gru(x)
        return self.head(output[:, -1]), state


class Attention(nn.Module):
    """Calls its layer with arguments by name, flags among them; the layer uses another's weight uncalled."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.attention(query=x, key=x, value=x, need_weights=False)[0]
        return y


class Auxiliary(nn.Module):
    """A layer whose results are not used; a frozen one; a weight used as such; a parameter beside layers."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.unused, self.head = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(4, 2)
        self.scale = nn.Parameter(torch.ones(4))
        self.body.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.body(x * self.scale).relu()
        self.unused(hidden), self.unused(hidden)
        y: torch.Tensor = self.head(hidden) + nn.functional.linear(hidden, self.head.weight * 2)
        return y


def images() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(True), nn.ConvTranspose2d(4, 3, 3, 2), nn.Flatten()
    )


def transformer() -> nn.Module:
    return nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True)


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "Net": (Net, lambda: batch(4, 5)),
    "Tied": (Tied, lambda: np.array([[1, 2, 6], [0, 1, 1]])),
    "Siamese": (Siamese, lambda: (batch(5, 4), batch(5, 4, seed=2))),
    "Recurrent": (Recurrent, lambda: batch(2, 5, 3)),
    "Attention": (Attention, lambda: batch(2, 5, 8)),
    "Auxiliary": (Auxiliary, lambda: batch(3, 4)),
    "images": (images, lambda: batch(4, 2, 6, 6)),
    "Transformer": (transformer, lambda: (batch(2, 5, 8), batch(2, 4, 8, seed=2))),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_same_model_twice(name: str, dtype: str) -> None:
    """From other weights: the second gets the first's."""
    make, inputs = MODELS[name]
    torch.manual_seed(0)
    check(make(), make(), inputs(), dtype=dtype, steps=1).raise_if_different()


def test_a_forgotten_residual(dtype: str) -> None:
    """It is in no layer, and the block that lacks it is named."""
    fails(check(Net(), Net(residual=False), batch(4, 5, dtype=dtype)), "first: second output in the model")


def test_another_activation(dtype: str) -> None:
    """The layer is named, and not what comes after it."""
    one, other = (nn.Sequential(nn.Linear(5, 5), nn.GELU(how), nn.Linear(5, 2)) for how in ("none", "tanh"))
    fails(check(one, other, batch(4, 5, dtype=dtype)), "1: second output")


def test_a_loss_of_each(dtype: str) -> None:
    x, y = batch(6, 5, dtype=dtype), batch(6, 2, seed=2, dtype=dtype)
    models = nn.Linear(5, 2), nn.Linear(5, 2)
    options: dict[str, Any] = {"optimizer": "AdamW", "optimizer_args": {"lr": 0.01}}
    check(*models, x, y, (nn.MSELoss(), nn.MSELoss()), **options).raise_if_different()
    fails(check(*models, x, y, (nn.MSELoss(), nn.L1Loss()), **options), "loss: second output")


@pytest.mark.parametrize("loss", [nn.MSELoss, nn.HuberLoss, nn.GaussianNLLLoss])
def test_a_loss_alone(loss: type[nn.Module], dtype: str) -> None:
    targets = (batch(4, 3, seed=2), np.abs(batch(4, 3, seed=3)))
    given: Any = targets if loss is nn.GaussianNLLLoss else targets[0]
    check(loss(), loss(), batch(4, 3), given, dtype=dtype).raise_if_different()


def test_what_draws_inside_is_told() -> None:
    """Attention's own dropout is no layer that could be given the same mask."""
    one, other = (nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True) for _ in range(2))
    with pytest.raises(ValueError, match=r"numpy_module draws at random.*eval mode"):
        check(one, other, batch(2, 3, 8))
    check(one.eval(), other.eval(), batch(2, 3, 8)).raise_if_different()


@pytest.mark.parametrize("shared", [True, False])
def test_what_one_side_alone_shares(shared: bool) -> None:
    has, lacks = ("numpy_module", "torch_module") if shared else ("torch_module", "numpy_module")
    with pytest.raises(ValueError, match=rf"'left' and 'right' are one module in {has}, but not in {lacks}"):
        check(Siamese(shared), Siamese(not shared), (batch(5, 4), batch(5, 4)))


def test_tied_on_one_side_alone() -> None:
    loose = Tied()
    loose.decoder.weight = nn.Parameter(loose.decoder.weight.detach().clone())
    with pytest.raises(
        ValueError, match=r"'embedding\.weight' and 'decoder\.weight' are one parameter in torch_"
    ):
        check(loose, Tied(), np.array([[1, 2]]))


class Twice(nn.Module):
    """Two layers of one weight, told of in some order."""

    first: nn.Linear
    second: nn.Linear

    def __init__(self, *order: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = {"first": nn.Linear(3, 3), "second": nn.Linear(3, 3)}
        layers["second"].weight = layers["first"].weight
        for name in order:
            self.add_module(name, layers[name])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.second(torch.tanh(self.first(x)))
        return y


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_tied_under_other_names_first(optimizer: str) -> None:
    """On one side the weight is first's and then second's, on the other it is the other way round."""
    sides = Twice("first", "second"), Twice("second", "first")
    check(*sides, batch(5, 3), optimizer=optimizer).raise_if_different()


def test_neither_module_is_changed() -> None:
    sides = images(), images()
    before = [{key: value.clone() for key, value in side.state_dict().items()} for side in sides]
    check(*sides, batch(4, 2, 6, 6))
    for side, state in zip(sides, before, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in side.state_dict().items())
        assert all(p.grad is None for p in side.parameters())
        assert not any("forward" in vars(module) for module in side.modules())


class InPlace(nn.Module):
    """What its activation is given is used again."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.first, self.relu, self.second = nn.Linear(4, 4), nn.ReLU(in_place), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        y: torch.Tensor = self.second(self.relu(hidden)) + hidden
        return y


def test_what_a_layer_does_in_place_is_seen(dtype: str) -> None:
    x = batch(5, 4, dtype=dtype)
    check(InPlace(True), InPlace(True), x).raise_if_different()
    check(nn.Sequential(nn.ReLU(True), nn.Linear(4, 4)), nn.Sequential(nn.ReLU(), nn.Linear(4, 4)), x)
    fails(check(InPlace(True), InPlace(False), x), "output of the model")


def test_a_block_that_changes_what_it_is_given() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(True), nn.Linear(4, 4)))
    with pytest.raises(ValueError, match="Sequential changes what it is given in place"):
        check(model, model, batch(5, 4))


class Two(nn.Module):
    """An argument that a loss would call its target."""

    def __init__(self, detached: bool = False) -> None:
        super().__init__()
        self.fc, self.detached = nn.Linear(4, 4), detached

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.fc(x) + (y.detach() if self.detached else y) ** 2
        return z


class Caller(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.two, self.loss = nn.Linear(4, 4), Two(), nn.MSELoss()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.two(x, self.fc(x)) + self.loss(x, self.fc(x))
        return z


def test_names_of_arguments_decide_nothing(dtype: str) -> None:
    x = batch(5, 4, dtype=dtype)
    check(Two(), Two(), (x, x.copy())).raise_if_different()
    fails(check(Two(), Two(detached=True), (x, x.copy())), "second grad_input 1")
    check(Caller(), Caller(), x).raise_if_different()


def triple(_module: nn.Module, grads: Any, _outputs: Any) -> Any:
    return tuple(3 * grad for grad in grads)


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    model[0].register_forward_hook(lambda _module, _inputs, output: output * 2)
    model[1].register_full_backward_hook(triple)
    return model


def test_hooks_are_part_of_a_layer(dtype: str) -> None:
    x = batch(5, 4, dtype=dtype)
    check(hooked(), hooked(), x).raise_if_different()
    fails(check(hooked(), nn.Sequential(nn.Linear(4, 4), nn.ReLU()), x), "0: second output")


class Within(nn.Module):
    """Two layers, run by a function of torch's that runs them in its own way."""

    def __init__(self, how: Callable[..., Any] = lambda layers, x: layers(x)) -> None:
        super().__init__()
        self.how, self.layers = how, nn.Sequential(nn.Linear(5, 5), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.how(self.layers, x)
        return y


class WithinNumpy(Module):
    """The NumPy twin."""

    def __init__(self) -> None:
        self.layers = gdl_nn.Sequential(gdl_nn.Linear(5, 5, rng=0), gdl_nn.Tanh())

    def forward(self, x: np.ndarray) -> np.ndarray:
        y: np.ndarray = self.layers(x)
        return y

    def backward(self, grad_output: np.ndarray) -> Any:
        return self.layers.backward(grad_output)


def by_slope(layers: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y: torch.Tensor = layers(x)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return y + slope


HOWS: dict[str, Callable[..., Any]] = {
    "checkpoint": partial(checkpoint, use_reentrant=False),
    "reentrant checkpoint": partial(checkpoint, use_reentrant=True),
    "vmap": lambda layers, x: torch.vmap(layers)(x),
    "slope": by_slope,
}


@pytest.mark.parametrize("how", HOWS)
def test_ways_to_run_layers_that_cannot_be_followed_are_told(how: str) -> None:
    """Layers that run a second time, or on tensors without values: a line says so, no twin is accused."""
    line = {"vmap": "outside", "slope": "differentiates in its forward"}.get(
        how, "runs again in the backward"
    )
    with pytest.raises(ValueError, match=line):
        check(Within(HOWS[how]), Within(), batch(4, 5))


def test_a_checkpoint_is_followed_from_numpy(dtype: str) -> None:
    """Activation checkpointing runs layers again in the backward pass; those calls are not counted twice."""
    check(WithinNumpy(), Within(HOWS["checkpoint"]), batch(4, 5), dtype=dtype).raise_if_different()
    fails(check(WithinNumpy(), Within(twice_as_much), batch(4, 5), dtype=dtype), "layers.0")
    for how, line in (("reentrant checkpoint", "use_reentrant=False"), ("vmap", "call it outside")):
        with pytest.raises(ValueError, match=line):
            check(WithinNumpy(), Within(HOWS[how]), batch(4, 5), dtype=dtype)


def twice_as_much(layers: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y: torch.Tensor = checkpoint(lambda x: layers(2 * x), x, use_reentrant=False)
    return y


def test_what_is_no_tensor() -> None:
    class Number(nn.Linear):
        def forward(self, x: torch.Tensor) -> Any:
            return super().forward(x), 5

    with pytest.raises(ValueError, match="Number gives an int, which cannot be compared"):
        check(Number(4, 4), Number(4, 4), batch(5, 4))
