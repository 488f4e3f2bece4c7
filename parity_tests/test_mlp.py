"""What is special about the multilayer perceptron; its parity is proved in `test_models.py`."""

from __future__ import annotations

from parity_tests.harness.model_cases import MODELS

CASE = MODELS["MLP"]


def test_book_sizes() -> None:
    """By default the network of chapter 9: 784-100-10, tanh, half of the hidden layer dropped."""
    own, twin = CASE.build({})
    shapes = {
        "layers.1.weight": (100, 784),
        "layers.1.bias": (100,),
        "layers.4.weight": (10, 100),
        "layers.4.bias": (10,),
    }
    assert {name: data.shape for name, data in own.state_dict().items()} == shapes
    assert {name: tuple(data.shape) for name, data in twin.state_dict().items()} == shapes
    assert "Tanh" in repr(own)
    assert "p=0.5" in repr(own)
