"""The book's listings, replayed exactly as printed, and what each becomes when its wrong terms are put right.

Chapters 8 to 12: data in, one record for each printed line out. Each has its twin in
`gdl_torch.replays`; docs/errata.md says what was found.
"""

from gdl_numpy.replays.babi_transition import TransitionMatrix, read_sentences, replay_sentences
from gdl_numpy.replays.imdb_sentiment import WordSum, replay_reviews
from gdl_numpy.replays.listing import Listing, Record, as_in_the_book, replay
from gdl_numpy.replays.mnist_cnn import CNN
from gdl_numpy.replays.mnist_dropout import DropoutMLP
from gdl_numpy.replays.mnist_minibatch import MiniBatchMLP
from gdl_numpy.replays.mnist_mlp import MLP
from gdl_numpy.replays.mnist_softmax import SoftmaxMLP

__all__ = [
    "CNN",
    "MLP",
    "DropoutMLP",
    "Listing",
    "MiniBatchMLP",
    "Record",
    "SoftmaxMLP",
    "TransitionMatrix",
    "WordSum",
    "as_in_the_book",
    "read_sentences",
    "replay",
    "replay_reviews",
    "replay_sentences",
]
