"""Whether operations are recorded."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

is_grad_enabled: ContextVar[bool] = ContextVar("is_grad_enabled", default=True)


@contextmanager
def no_grad() -> Iterator[None]:
    """Within, nothing is recorded: results are constants, and cost no memory beyond their data."""
    token = is_grad_enabled.set(False)
    try:
        yield
    finally:
        is_grad_enabled.reset(token)
