"""The torch twin of a listing: its weights and masks, the printed rule on tensors, and autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from gdl_numpy import replays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gdl_numpy.replays import Record
    from gdl_numpy.replays.listing import Images


class Listing(nn.Module):
    """A network of the book in torch, float64. Takes the arguments of its NumPy twin.

    `forward` gives the loss, so that `loss.backward()` is the true gradient, by autograd. `printed`
    puts into each `grad` what the listing takes for it instead. A rule of which terms are corrected learns
    from autograd, and so has to correct all.

    Attributes:
        source: the twin, whose random stream gives the weights and the masks.
        outputs: of the latest forward pass, detached.
    """

    twin: ClassVar[type[replays.Listing]]
    outputs: Tensor
    saved: tuple[Tensor, ...]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Raises ValueError for a rule corrected in some of its terms, but not in all."""
        super().__init__()
        self.source = self.twin(*args, **kwargs)
        if self.source.corrected and self.source.corrected != set(self.source.terms):
            raise ValueError(
                f"{type(self).__name__} expects corrected to be no terms or all, "
                f"got {sorted(self.source.corrected)}: autograd knows no half-right gradient"
            )
        for name, parameter in self.source.named_parameters():
            setattr(self, name, nn.Parameter(torch.from_numpy(parameter.data.copy())))

    @property
    def batch_size(self) -> int:
        return self.source.batch_size

    @property
    def logs_errors(self) -> bool:
        return self.source.logs_errors

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """The outputs without dropout."""
        raise TypeError(f"{type(self).__name__} does not define predict")

    def printed(self, *example: Any) -> None:
        """Puts the printed update into each parameter's `grad`; `forward` has run on the same example."""
        raise TypeError(f"{type(self).__name__} does not define printed")

    def learn(self, *example: Any) -> float:
        """One step, on a batch of images and labels, or on a sentence; returns the loss before it."""
        example += tuple(map(torch.from_numpy, self.source.masks(len(example[0]))))
        self.zero_grad()
        with torch.set_grad_enabled(bool(self.source.corrected)):
            loss = self(*example)
        if self.source.corrected:
            loss.backward()
        else:
            with torch.no_grad():
                self.printed(*example)
        with torch.no_grad():
            for parameter in self.parameters():
                assert parameter.grad is not None
                parameter.sub_(self.source.alpha * parameter.grad)
        return float(loss.detach())


def replay(listing: Listing, train: Images, test: Images, passes: int, every: int = 10) -> Iterator[Record]:
    """`gdl_numpy.replays.replay`, with arrays made into tensors."""
    (x, y), (test_x, test_y) = ([torch.from_numpy(array) for array in pair] for pair in (train, test))
    return replays.replay(listing, (x, y), (test_x, test_y), passes, every)
