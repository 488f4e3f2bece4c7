"""Which part of a NumPy module is which of a torch module: as somebody says, or by order and shape."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from parity_tests.harness.naming import Modules, Parameters, Renamed, joined, within
from parity_tests.harness.watch import is_leaf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gdl_numpy.nn import Module

Names = Literal["order"] | dict[str, str | None]


def renamed(torch_module: nn.Module, numpy_module: Module, names: Names, root: str = "") -> Renamed:
    """The torch module by the NumPy module's names.

    Args:
        torch_module: what is to be renamed; it is called as it is.
        numpy_module: has the names.
        names: see `check`.
        root: what `names` are about, on both sides; beside it all is called alike.

    Raises:
        ValueError: one side has no such name; no counterparts can be found by order.
    """
    find = by_order if names == "order" else partial(by_names, names=names)
    modules, parameters = find(dict(numpy_module.named_modules())[root], torch_module.get_submodule(root))

    def beside(names: Iterable[str]) -> dict[str, Any]:
        return {name: name for name in names if root and name and not name.startswith(f"{root}.")}

    return Renamed(
        torch_module,
        {
            joined(root, name): joined(root, other) if other is not None else None
            for name, other in modules.items()
        }
        | beside(name for name, _ in numpy_module.named_modules()),
        {joined(root, name): joined(root, other) for name, other in parameters.items()}
        | beside(numpy_module.state_dict()),
    )


def by_names(ours: Module, theirs: nn.Module, names: Mapping[str, str | None]) -> tuple[Modules, Parameters]:
    """What `names` say of each module and parameter, or of what it is part of; else the same name."""
    own, parameters = dict(ours.named_modules()), list(ours.state_dict())
    has = dict(theirs.named_modules(remove_duplicate=False))
    has_parameters = dict(theirs.named_parameters(remove_duplicate=False))
    refuse_unknown(names, "numpy_module", [*own, *parameters])
    refuse_unknown(
        [name for name in names.values() if name is not None], "torch_module", [*has, *has_parameters]
    )

    def other(name: str) -> str:
        for beginning in beginnings(name):
            target = names.get(beginning)
            if target is not None:
                return joined(target, within(beginning, name) if beginning != name else "")
        return name

    modules: Modules = {name: other(name) for name in own if name and other(name) in has}
    modules |= {name: None for name, target in names.items() if target is None}
    found = {name: other(name) for name in parameters}
    for name, module in own.items():
        inside = modules.get(name)
        for key in vars(module) if inside and is_leaf(module) else ():
            target = found.get(f"{name}.{key}", f"{inside}.")
            if not target.startswith(f"{inside}."):
                raise ValueError(
                    f"names: {name!r} is torch_module's {inside!r}, but its {key} is {target!r}, not inside: "
                    f"of a layer that has no counterpart say names={{{name!r}: None, …}}"
                )
    return modules, found


def beginnings(name: str) -> Iterator[str]:
    """A name, that of what it is part of, and so on up to the root's, which is empty."""
    while name:
        yield name
        name = name.rpartition(".")[0]
    yield ""


def refuse_unknown(names: Iterable[str], side: str, known: Iterable[str]) -> None:
    """Raises ValueError for names that a side does not have."""
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"names: {side} has no {', '.join(map(repr, unknown))}, "
            f"only {', '.join(repr(name) for name in known if name)}"
        )


def by_order(ours: Module, theirs: nn.Module) -> tuple[Modules, Parameters]:
    """Parameters by order and shape; then layers by their parameters, and those that have none by order.

    Layers without parameters are counterparts in their order, where both sides have as many of them between
    the same two layers with parameters. Where not, and for layers whose parameters are not all of one layer
    in torch, there is none. Nor has a module with layers inside, but for the root.
    """
    parameters = parameters_by_order(ours, theirs)
    modules: Modules = {}
    leaves = [(name, layer) for name, layer in ours.named_modules() if name and is_leaf(layer)]
    has_some = {name for name, layer in leaves if any(layer.parameters())}
    for name, layer in leaves:
        targets = {parameters[joined(name, key)] for key, _ in layer.named_parameters()}
        owner = next(iter(targets), "").rpartition(".")[0]
        inside = {joined(owner, key) for key, _ in theirs.get_submodule(owner).named_parameters()}
        modules[name] = owner if inside == targets else None
    others = without_parameters(
        (name, next(layer.parameters(), None) is not None and name)
        for name, layer in theirs.named_modules()
        if next(layer.children(), None) is None
    )
    plain = without_parameters((name, name in has_some and (modules[name] or name)) for name, _ in leaves)
    for before, names in plain.items():
        if len(names) == len(others[before]):
            modules |= dict(zip(names, others[before], strict=True))
    return modules, parameters


def parameters_by_order(ours: Module, theirs: nn.Module) -> Parameters:
    """The first parameter of a shape is the first of that shape, and so on.

    Raises:
        ValueError: one side has more of a shape.
    """
    of_shape: defaultdict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, parameter in theirs.named_parameters():
        of_shape[tuple(parameter.shape)].append(name)
    by_id: dict[int, str] = {}
    for name, own in ours.named_parameters():
        if not of_shape[own.data.shape]:
            raise ValueError(f"names: by order, torch_module has no {own.data.shape} left for {name!r}")
        by_id[id(own)] = of_shape[own.data.shape].pop(0)
    if left := [name for names in of_shape.values() for name in names]:
        raise ValueError(f"names: by order, numpy_module has nothing left for {', '.join(map(repr, left))}")
    return {name: by_id[id(own)] for name, own in ours.named_parameters(remove_duplicate=False)}


def without_parameters(layers: Iterable[tuple[str, str | bool]]) -> defaultdict[str, list[str]]:
    """The layers that have no parameters, by the last one before them that has some.

    Args:
        layers: the name of each, and of those with parameters what both sides call it, else False.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    before = ""
    for name, known in layers:
        if known:
            before = str(known)
        else:
            found[before].append(name)
    return found
