"""What an encoder that learned without labels is good for, once there are some (chapter 16).

    features = features_of(model, dataset.train.inputs)
    rows = labelled_subset(dataset.train.targets, 0.01, rng=0)
    probe_accuracy(features[rows], dataset.train.targets[rows], features_of(model, test.inputs), test.targets)

`gdl_torch.downstream` has what computes with a model, under the same names. The rest takes arrays.
"""

from gdl_numpy.data.augment import random_view
from gdl_numpy.downstream.answers import Question, question_of, task_rows, view_rows
from gdl_numpy.downstream.encoding import (
    answers_of,
    check_encoder,
    check_trunk,
    embeddings_of,
    features_of,
    untrained,
)
from gdl_numpy.downstream.fine_tuning import FineTuned, fine_tune
from gdl_numpy.downstream.neighbours import knn_accuracy, nearest_neighbours
from gdl_numpy.downstream.pictures import draw_map, draw_nearest, draw_rows, on_a_plane
from gdl_numpy.downstream.probe import known_labels, labelled_subset, linear_probe, probe_accuracy
from gdl_numpy.downstream.recorded import Training, training_of

__all__ = [
    "FineTuned",
    "Question",
    "Training",
    "answers_of",
    "check_encoder",
    "check_trunk",
    "draw_map",
    "draw_nearest",
    "draw_rows",
    "embeddings_of",
    "features_of",
    "fine_tune",
    "knn_accuracy",
    "known_labels",
    "labelled_subset",
    "linear_probe",
    "nearest_neighbours",
    "on_a_plane",
    "probe_accuracy",
    "question_of",
    "random_view",
    "task_rows",
    "training_of",
    "untrained",
    "view_rows",
]
