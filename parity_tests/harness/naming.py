"""Two modules whose parts have different names: which is which."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from parity_tests.harness.watch import is_leaf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gdl_numpy.nn import Module

Names = Literal["order"] | dict[str, str | None]
# Torch's names by ours; None for a module that has no counterpart.
Modules = dict[str, str | None]
Parameters = dict[str, str]


class Renamed(nn.Module):
    """A torch module whose modules and parameters go by the names that the NumPy side has for them.

    Args:
        module: the torch module; it is called as it is.
        modules, parameters: its names by those of NumPy.
    """

    def __init__(self, module: nn.Module, modules: Modules, parameters: Parameters) -> None:
        super().__init__()
        self.renamed, self.of_modules, self.of_parameters = module, modules, parameters

    def forward(self, *inputs: Any) -> Any:
        return self.renamed(*inputs)

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        memo = set() if memo is None else memo
        theirs = dict(self.renamed.named_modules(remove_duplicate=False))
        found = [("", self)]
        found += [(ours, theirs[name]) for ours, name in self.of_modules.items() if ours and name is not None]
        for name, module in [*found, *of_torch_alone(theirs, [module for _, module in found])]:
            if not (remove_duplicate and module in memo):
                memo.add(module)
                yield joined(prefix, name), module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        theirs = dict(self.renamed.named_parameters(remove_duplicate=False))
        found = [(ours, theirs[name]) for ours, name in self.of_parameters.items() if name in theirs]
        memo: set[nn.Parameter] = set()
        for name, parameter in [*found, *of_torch_alone(theirs, [parameter for _, parameter in found])]:
            if not (remove_duplicate and parameter in memo):
                memo.add(parameter)
                yield joined(prefix, name), parameter

    def part(self, name: str) -> nn.Module:
        """The module that has this name in NumPy, its own parts by their names there."""
        inside = self.of_modules[name] if name else ""
        if not name or inside is None:
            return self
        module = self.renamed.get_submodule(inside)
        modules = {
            ours.removeprefix(f"{name}."): within(inside, other) if other is not None else None
            for ours, other in self.of_modules.items()
            if ours.startswith(f"{name}.")
        }
        parameters = {
            ours.removeprefix(f"{name}."): within(inside, other)
            for ours, other in self.of_parameters.items()
            if ours.startswith(f"{name}.")
        }
        same = all(ours == other for ours, other in (*modules.items(), *parameters.items()))
        return module if same else Renamed(module, modules, parameters)


def of_torch_alone(theirs: Mapping[str, Any], found: Iterable[Any]) -> list[tuple[str, Any]]:
    """What has no name of ours yet, by names that nothing of ours has."""
    known = {id(value) for value in found}
    return [(f"{name} of torch", value) for name, value in theirs.items() if id(value) not in known]


def part(module: nn.Module, name: str) -> nn.Module:
    """The module of that name inside another, as the twin of the NumPy module of that name."""
    return module.part(name) if isinstance(module, Renamed) else module.get_submodule(name)


def without_counterpart(module: nn.Module) -> set[str]:
    """The modules of NumPy's that a torch module has nothing for."""
    return (
        {name for name, other in module.of_modules.items() if other is None}
        if isinstance(module, Renamed)
        else set()
    )


def joined(*names: str) -> str:
    return ".".join(name for name in names if name)


def within(module: str, name: str) -> str:
    """The name of something in a module, as the module itself has it."""
    return name.removeprefix(f"{module}.") if module else name


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


def refuse_other_sharing(what: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raises ValueError for two names of one thing on one side, and of two things on the other."""
    common = [name for name in ours if name in theirs]
    firsts: list[dict[int, str]] = [{}, {}]
    for name in common:
        pair = [
            first.setdefault(id(side[name]), name) for first, side in zip(firsts, (ours, theirs), strict=True)
        ]
        if pair[0] != pair[1]:
            side, other = (
                ("numpy_module", "torch_module") if pair[0] != name else ("torch_module", "numpy_module")
            )
            first = pair[0] if pair[0] != name else pair[1]
            raise ValueError(f"{first!r} and {name!r} are one {what} in {side}, but not in {other}")


def by_order(ours: Module, theirs: nn.Module) -> tuple[Modules, Parameters]:
    """The first parameter of a shape is the first of that shape, and so on; then layers by their parameters.

    Layers without parameters are counterparts in their order, where both sides have as many of them between
    the same two layers with parameters. Where not, and for layers whose parameters are not all of one layer
    in torch, there is none. Nor has a module with layers inside, but for the root.
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
    parameters = {name: by_id[id(own)] for name, own in ours.named_parameters(remove_duplicate=False)}

    modules: Modules = {}
    leaves = [(name, layer) for name, layer in ours.named_modules() if name and is_leaf(layer)]
    for name, layer in leaves:
        targets = {by_id[id(own)] for own in layer.parameters()}
        owner = next(iter(targets), "").rpartition(".")[0]
        inside = {joined(owner, key) for key, _ in theirs.get_submodule(owner).named_parameters()}
        modules[name] = owner if inside == targets else None
    plain = without_parameters(
        (name, any(layer.parameters()) and (modules[name] or name)) for name, layer in leaves
    )
    others = without_parameters(
        (name, any(True for _ in layer.parameters()) and name)
        for name, layer in theirs.named_modules()
        if not any(True for _ in layer.children())
    )
    for before, names in plain.items():
        if len(names) == len(others[before]):
            modules |= dict(zip(names, others[before], strict=True))
    return modules, parameters


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
