"""Layers and losses written by hand, forward and backward, with the names and meaning of `torch.nn`."""

from gdl_numpy.nn.activation import LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from gdl_numpy.nn.calls import no_grad
from gdl_numpy.nn.conv import Conv2d
from gdl_numpy.nn.dot_product import DotProduct
from gdl_numpy.nn.dropout import Dropout
from gdl_numpy.nn.embedding import Embedding
from gdl_numpy.nn.embedding_bag import EmbeddingBag
from gdl_numpy.nn.flatten import Flatten
from gdl_numpy.nn.linear import Linear
from gdl_numpy.nn.loss import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss, MSELoss
from gdl_numpy.nn.lstm import LSTM
from gdl_numpy.nn.module import Module, Parameter, ReadsIds, Sequential, evaluating, modes_kept
from gdl_numpy.nn.normalize import Normalize
from gdl_numpy.nn.nt_xent import NTXentLoss
from gdl_numpy.nn.pair_loss import ContrastiveLoss, CosineEmbeddingLoss, TripletMarginLoss
from gdl_numpy.nn.pooling import AvgPool2d, MaxPool2d
from gdl_numpy.nn.rnn import RNN
from gdl_numpy.nn.sparse import SparseRows

__all__ = [
    "LSTM",
    "RNN",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "ContrastiveLoss",
    "Conv2d",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "DotProduct",
    "Dropout",
    "Embedding",
    "EmbeddingBag",
    "Flatten",
    "Linear",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "NTXentLoss",
    "Normalize",
    "Parameter",
    "ReLU",
    "ReadsIds",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "SparseRows",
    "Tanh",
    "TripletMarginLoss",
    "evaluating",
    "modes_kept",
    "no_grad",
]
