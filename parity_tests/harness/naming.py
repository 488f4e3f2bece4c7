"""A torch module whose parts go by other names than its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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


def refuse_other_modes(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raises ValueError for a module inside that is in another mode than the whole on one side alone.

    The whole may be: it is compared in the mode of the NumPy side.
    """
    for name in (name for name in ours if name in theirs):
        differs = [side[name].training != side[""].training for side in (ours, theirs)]
        if differs[0] != differs[1]:
            side = "numpy_module" if differs[0] else "torch_module"
            mode = "training" if (ours if differs[0] else theirs)[name].training else "eval"
            raise ValueError(f"{name!r} is in {mode} mode, unlike the whole, in {side} alone")
