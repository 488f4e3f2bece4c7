"""What models are trained for; each task has a twin of the same name in `gdl_torch.tasks`.

task = Classification(MLP(rng=0))
task.step(SGD(task.model.parameters(), lr=0.1), (inputs, targets))
print(task.metrics)
"""

from gdl_numpy.tasks.classification import (
    BinaryClassification,
    Classification,
    ClassificationMetrics,
    ProbabilityClassification,
)
from gdl_numpy.tasks.contrastive import Contrastive, ContrastiveMetrics, loss_at_collapse
from gdl_numpy.tasks.language_modelling import LanguageMetrics, LanguageModelling
from gdl_numpy.tasks.mining import (
    hardest_triplets,
    pairs_from_labels,
    semihard_triplets,
    triplets_from_labels,
)
from gdl_numpy.tasks.reconstruction import Reconstruction
from gdl_numpy.tasks.task import Batch, Metrics, Task, as_arguments
from gdl_numpy.tasks.word_vectors import NegativeSampling

__all__ = [
    "Batch",
    "BinaryClassification",
    "Classification",
    "ClassificationMetrics",
    "Contrastive",
    "ContrastiveMetrics",
    "LanguageMetrics",
    "LanguageModelling",
    "Metrics",
    "NegativeSampling",
    "ProbabilityClassification",
    "Reconstruction",
    "Task",
    "as_arguments",
    "hardest_triplets",
    "loss_at_collapse",
    "pairs_from_labels",
    "semihard_triplets",
    "triplets_from_labels",
]
