"""What several tests need: import it from here, and never from another test."""

from parity_tests.support.archives import CONTENTS, folders_of, member, packed
from parity_tests.support.command_line import ONE_EPOCH, QUIET, digits_checkpoint, gdl_torch
from parity_tests.support.devices import (
    SeenByEachDevice,
    contrast_of_a_share,
    same_end,
    two_processes,
    weights,
)
from parity_tests.support.disturbance import (
    Disturb,
    State,
    Weights,
    assert_within,
    moved_by_rounding,
    nothing,
)
from parity_tests.support.images import DoubleBatches, ImageRecipe, batches_of, some_digits
from parity_tests.support.interpreters import BLOCKER, NO_TORCH, run_python
from parity_tests.support.mirror import CONTENT, DOWNLOAD, Mirror, data_file, serving
from parity_tests.support.recorded import OWN, TORCH, TorchFunction, numbers, parity, torch_max
from parity_tests.support.texts import (
    FEW_SENTENCES,
    TEXT_RECIPES,
    FewSentences,
    Gradients,
    Seen,
    ShortText,
    TextRecipe,
    cut,
    loss_of,
    still,
    truncated,
)
from parity_tests.support.trainer import WARNINGS_OF_LIGHTNING, Losses, Steps, trainer
from parity_tests.support.words import bags_in, rows_of, small_reviews
from parity_tests.support.writers import WRITERS, WRITERS_TEXT, WRITERS_VOCABULARY, twin_of, writer

__all__ = [
    "BLOCKER",
    "CONTENT",
    "CONTENTS",
    "DOWNLOAD",
    "FEW_SENTENCES",
    "NO_TORCH",
    "ONE_EPOCH",
    "OWN",
    "QUIET",
    "TEXT_RECIPES",
    "TORCH",
    "WARNINGS_OF_LIGHTNING",
    "WRITERS",
    "WRITERS_TEXT",
    "WRITERS_VOCABULARY",
    "Disturb",
    "DoubleBatches",
    "FewSentences",
    "Gradients",
    "ImageRecipe",
    "Losses",
    "Mirror",
    "Seen",
    "SeenByEachDevice",
    "ShortText",
    "State",
    "Steps",
    "TextRecipe",
    "TorchFunction",
    "Weights",
    "assert_within",
    "bags_in",
    "batches_of",
    "contrast_of_a_share",
    "cut",
    "data_file",
    "digits_checkpoint",
    "folders_of",
    "gdl_torch",
    "loss_of",
    "member",
    "moved_by_rounding",
    "nothing",
    "numbers",
    "packed",
    "parity",
    "rows_of",
    "run_python",
    "same_end",
    "serving",
    "small_reviews",
    "some_digits",
    "still",
    "torch_max",
    "trainer",
    "truncated",
    "twin_of",
    "two_processes",
    "weights",
    "writer",
]
