"""Chapter 13's framework: tensors that record their history, and layers, losses and optimizers on top.

Start reading with `tensor`; `parts`, `functions`, `layers` and `optim` follow from it.
"""

from gdl_numpy.autograd.functions import cat, cross_entropy, linear, softmax, stack
from gdl_numpy.autograd.grad_mode import no_grad
from gdl_numpy.autograd.layers import (
    CrossEntropyLoss,
    Embedding,
    Linear,
    LSTMCell,
    Module,
    MSELoss,
    ReLU,
    RNNCell,
    Sequential,
    Sigmoid,
    Tanh,
)
from gdl_numpy.autograd.optim import SGD, Adam
from gdl_numpy.autograd.tensor import Tensor

__all__ = [
    "SGD",
    "Adam",
    "CrossEntropyLoss",
    "Embedding",
    "LSTMCell",
    "Linear",
    "MSELoss",
    "Module",
    "RNNCell",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "Tensor",
    "cat",
    "cross_entropy",
    "linear",
    "no_grad",
    "softmax",
    "stack",
]
