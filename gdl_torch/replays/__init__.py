"""The torch twins of `gdl_numpy.replays`: the printed rules on tensors, and autograd, which judges them."""

from gdl_torch.replays.babi_transition import TransitionMatrix, replay_sentences
from gdl_torch.replays.imdb_sentiment import WordSum, replay_reviews
from gdl_torch.replays.listing import Listing, replay
from gdl_torch.replays.mnist_cnn import CNN
from gdl_torch.replays.mnist_dropout import DropoutMLP
from gdl_torch.replays.mnist_minibatch import MiniBatchMLP
from gdl_torch.replays.mnist_mlp import MLP
from gdl_torch.replays.mnist_softmax import SoftmaxMLP

__all__ = [
    "CNN",
    "MLP",
    "DropoutMLP",
    "Listing",
    "MiniBatchMLP",
    "SoftmaxMLP",
    "TransitionMatrix",
    "WordSum",
    "replay",
    "replay_reviews",
    "replay_sentences",
]
