"""Chapter 13's framework: tensors that record their history, and layers, losses and optimizers on top.

Start reading with `tensor`; `functions`, `layers`, `optim` and `language_model` follow from it.
"""

from gdl_numpy.autograd.functions import cat, cross_entropy, linear, stack
from gdl_numpy.autograd.language_model import LanguageModel, detached
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
from gdl_numpy.autograd.tensor import Tensor, no_grad

__all__ = [
    "SGD",
    "Adam",
    "CrossEntropyLoss",
    "Embedding",
    "LSTMCell",
    "LanguageModel",
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
    "detached",
    "linear",
    "no_grad",
    "stack",
]
