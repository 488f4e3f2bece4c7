"""Reconstruction: filling in what was taken away, the pixels of a patch or the colours of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.nn import MSELoss
from gdl_numpy.tasks.task import Task

if TYPE_CHECKING:
    from jaxtyping import Float


class Reconstruction(Task):
    """A model's outputs against the numbers that were there, by the squared error."""

    default_loss = MSELoss

    def prepare(self, targets: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        return targets.astype(self.outputs.dtype, copy=False)
