"""What models are trained for under Lightning; each task has a twin of the same name in `gdl_numpy.tasks`."""

from gdl_torch.tasks.bags import ReadsBags
from gdl_torch.tasks.classification import BinaryClassification, Classification, ProbabilityClassification
from gdl_torch.tasks.contrastive import Contrastive
from gdl_torch.tasks.gathering import of_all_ranks
from gdl_torch.tasks.language_modelling import LanguageModelling, detached
from gdl_torch.tasks.mining import hardest_triplets
from gdl_torch.tasks.reconstruction import Reconstruction
from gdl_torch.tasks.task import Mean, Outcome, Task, check_sizes, check_sparse
from gdl_torch.tasks.tokens import ReadsTokens
from gdl_torch.tasks.word_vectors import NegativeSampling

__all__ = [
    "BinaryClassification",
    "Classification",
    "Contrastive",
    "LanguageModelling",
    "Mean",
    "NegativeSampling",
    "Outcome",
    "ProbabilityClassification",
    "ReadsBags",
    "ReadsTokens",
    "Reconstruction",
    "Task",
    "check_sizes",
    "check_sparse",
    "detached",
    "hardest_triplets",
    "of_all_ranks",
]
