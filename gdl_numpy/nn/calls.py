"""What a module keeps of its forward passes until backward has taken them back, last one first."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

R = TypeVar("R")

# Passes that nobody takes back are forgotten after so many calls from outside of any module. What is called
# within one, say at each time step of a sequence, is kept however often that is.
KEPT = 64


class _Thread(threading.local):
    """What a thread is doing.

    Attributes:
        saves: whether forward passes keep what backward needs.
        depth: how many modules are being called, each by the one before.
        calls: how many calls there were from outside of any module.
    """

    saves = True
    depth = 0
    calls = 0


thread = _Thread()


@contextmanager
def no_grad() -> Iterator[None]:
    """Within, forward passes keep nothing for backward, as with `torch.no_grad`: for evaluation and use.

    Also a decorator: `@no_grad()`.
    """
    before = thread.saves
    thread.saves = False
    try:
        yield
    finally:
        thread.saves = before


class Saved(NamedTuple):
    """What one forward pass saved: in which call from outside it was made, and in which mode."""

    call: int
    training: bool
    values: tuple[Any, ...]


class Differentiable:
    """Forward passes on a stack, and backward passes that take them back in reverse.

    A module may run several times before its gradients are asked for: an activation that serves two layers,
    an encoder that is shown two images. Each call of `backward` then belongs to the latest forward pass that
    has not been taken back yet. When none is left, the next `backward` begins again with the last one, so
    two backward passes after one forward add up. Passes in eval mode are none of training's, and the other
    way round: what the other mode has left over is dropped.
    """

    training: bool = True
    _stack: ClassVar[Any] = ()
    _next = -1  # which of them backward takes back next; -1 when it has been through all
    _forgot = False  # whether there were more, too long ago
    _in_backward = False

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if "backward" in vars(cls):
            cls.backward = taking_back(vars(cls)["backward"])  # type: ignore[attr-defined]

    def save_for_backward(self, *values: Any) -> None:
        """Keeps what `backward` needs of the forward pass just run."""
        if not thread.saves:
            return
        stack: list[Saved] = self._stack[: self._next + 1] if self._next >= 0 else []
        if not stack:
            self._forgot = False
        elif stack[0].training != self.training:
            stack = []
        elif stack[0].call <= thread.calls - KEPT:
            stack = [saved for saved in stack if saved.call > thread.calls - KEPT]
            self._forgot = True
        stack.append(Saved(thread.calls, self.training, values))
        vars(self)["_stack"], self._next = stack, len(stack) - 1

    @property
    def saved(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept of the forward pass that `backward` takes back, or would take next.

        Raises:
            RuntimeError: `backward` was called before `forward`, or goes back to a pass that is forgotten.
        """
        if not self._stack:
            raise RuntimeError(f"{self!r}: backward was called before forward")
        if self._next < 0 and self._forgot:
            raise RuntimeError(f"{self!r}: only the last {KEPT} calls are kept for backward")
        values: tuple[Any, ...] = self._stack[self._next].values
        return values

    def drop_saved(self) -> None:
        """Takes the latest forward pass back without its gradient, which nobody asks for."""
        if self._next >= 0:
            self._next -= 1


def taking_back(backward: Callable[..., R]) -> Callable[..., R]:
    """`backward` of a class, so that the forward pass that it differentiates counts as taken back then.

    What a method of a base class does for it, called by `super()`, belongs to the same pass. A pass whose
    gradient was refused can still be had.
    """

    @wraps(backward)
    def wrapper(self: Differentiable, *grad_outputs: Any, **named: Any) -> R:
        if self._in_backward or not self._stack:
            return backward(self, *grad_outputs, **named)
        self.saved  # noqa: B018  # refuses what is forgotten
        if self._next < 0:
            self._next = len(self._stack) - 1
        self._in_backward = True
        try:
            result = backward(self, *grad_outputs, **named)
        finally:
            self._in_backward = False
        self._next -= 1
        return result

    return wrapper
