"""What every layer asks of its input: each refusal names the layer, what it got and what it expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdl_numpy.messages import kind_of, with_article

if TYPE_CHECKING:
    from collections.abc import Mapping

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def whole(owner: str, **values: int) -> list[int]:
    """The values as ints; NumPy's integers are some too.

    Raises:
        ValueError: naming the owner, the argument and the value that is no integer of at least 1.
    """
    numbers = []
    for name, value in values.items():
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{owner} expects {name} to be an integer ≥ 1, got {value!r}")
        numbers.append(int(value))
    return numbers


def real(owner: str, **values: float) -> list[float]:
    """The values as floats; NumPy's numbers are some too.

    Raises:
        ValueError: naming the owner, the argument and the value that is no number.
    """
    numbers = []
    for name, value in values.items():
        if isinstance(value, bool | np.bool_) or not isinstance(
            value, int | float | np.integer | np.floating
        ):
            raise ValueError(f"{owner} expects {name} to be a number, got {value!r}")
        numbers.append(float(value))
    return numbers


def check_kind(owner: str, kind: type, **values: object) -> None:
    """Refuses what is no instance of a class.

    Raises:
        ValueError: naming the owner, the argument, the class and that of the value.
    """
    for name, value in values.items():
        if not isinstance(value, kind):
            raise ValueError(
                f"{owner} expects {name} to be {with_article(kind.__name__)}, got {kind_of(value)}"
            )


def described(value: object) -> str:
    """An array by its shape and dtype, for messages, and anything else by its kind."""
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype}"
    return "none" if value is None else kind_of(value)


def check_floating(layer: object, **arrays: np.ndarray) -> None:
    """Refuses anything but arrays that are all float32 or all float64.

    Raises:
        ValueError: naming the layer, the argument and the dtypes.
    """
    first_name, first = next(iter(arrays.items()))
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype not in FLOATS:
            got = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else kind_of(array)
            raise ValueError(f"{layer!r} expects {name} to be a float32 or float64 array, got {got}")
        if array.dtype != first.dtype:
            raise ValueError(
                f"{layer!r} expects one dtype for all, "
                f"got {first_name} {first.dtype} and {name} {array.dtype}"
            )


def check_same_shape(layer: object, **arrays: np.ndarray) -> None:
    """Refuses floating arrays that differ in shape or dtype.

    Raises:
        ValueError: naming the layer, the arguments and their shapes.
    """
    check_floating(layer, **arrays)
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = " and ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{layer!r} expects equal shapes, got {shapes}")


def check_class_ids(layer: object, ids: np.ndarray, count: int, ignore_index: int | None = None) -> None:
    """Refuses ids that are not integers in [0, count), `ignore_index` excepted.

    Raises:
        ValueError: not an integer array.
        IndexError: naming the first id out of range.
    """
    if not isinstance(ids, np.ndarray) or ids.dtype.kind not in "iu":
        raise ValueError(f"{layer!r} expects integer ids, got {getattr(ids, 'dtype', type(ids).__name__)}")
    outside = (ids < 0) | (ids >= count)
    if ignore_index is not None:
        outside &= ids != ignore_index
    if outside.any():
        raise IndexError(f"{layer!r} expects ids in [0, {count}), got {ids[outside].flat[0]}")


def check_grad_output(
    layer: object, grad_output: np.ndarray, shape: tuple[int, ...], dtype: np.dtype
) -> None:
    """Refuses a gradient that does not look like the output it belongs to.

    Raises:
        ValueError: naming the layer, both shapes and both dtypes.
    """
    if grad_output.shape != shape or grad_output.dtype != dtype:
        raise ValueError(
            f"{layer!r} expects grad_output like its output, {shape} {dtype}, "
            f"got {grad_output.shape} {grad_output.dtype}"
        )


def state_dict_faults(
    own: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray], strict: bool = True
) -> list[str]:
    """What keeps `given` from being copied into `own`: every missing, unexpected and misshapen key.

    Not `strict`, only the shapes of the keys that both have must fit.
    """
    faults = []
    if strict:
        faults += [f"missing key {name!r}" for name in own if name not in given]
        faults += [f"unexpected key {name!r}" for name in given if name not in own]
    return faults + [
        f"{name!r} has shape {np.shape(given[name])}, expected {array.shape}"
        for name, array in own.items()
        if name in given and np.shape(given[name]) != array.shape
    ]
