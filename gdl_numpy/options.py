"""Options of a command line, made of the signature and the docstring of what they are given to.

    options = options_of(MLP)                     # {"in_features": …, "hidden_features": …, …}

A model, a data module or a loss that gains an argument gains the option, with its help, at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin

import docstring_parser
import typer

from gdl_numpy.lookup import lookup
from gdl_numpy.schema import type_of


def flag(name: str) -> str:
    """How an argument is written on the command line."""
    return f"--{name.replace('_', '-')}"


def options_of(
    callee: Any,
    skip: Collection[str] = (),
    defaults: Mapping[str, Any] = MappingProxyType({}),
    decided: Mapping[str, str] = MappingProxyType({}),
    least: Mapping[str, int] = MappingProxyType({}),
    names: Mapping[str, str] = MappingProxyType({}),
    more: Mapping[str, str] = MappingProxyType({}),
    panel: str | None = None,
) -> dict[str, inspect.Parameter]:
    """Returns an option of typer's for each argument, in their order.

    Args:
        callee: a class or function, with a docstring that says what each argument is. Annotations are of
            bool, int, float, str, Path, enumerations, Literal and sequences of int, each of them or None.
        skip: arguments that are not the command line's to give.
        defaults: by name, where they are not those of the signature.
        decided: for an argument whose default is decided later (None till then), by what.
        least: the smallest value of an integer.
        names: how an option is written, where not as `flag` writes it.
        more: what the help says after the docstring's words.
        panel: the heading that the options have in the help.

    Raises:
        TypeError: an argument without a description, or of another type: it could not be given.
    """
    about = descriptions_of(callee)
    options = {}
    for parameter in inspect.signature(callee).parameters.values():
        name = parameter.name
        if name in skip:
            continue
        if name not in about:
            raise TypeError(f"{callee.__qualname__}: the docstring does not say what {name} is")
        settings: dict[str, Any] = {"help": f"{about[name]}{more.get(name, '')}", "rich_help_panel": panel}
        default = defaults.get(name, parameter.default)
        if name in decided:
            settings["show_default"], default = decided[name], None
        kind = type_of(parameter, callee)
        if kind is int and name in least:
            settings["min"] = least[name]
        if get_origin(kind) is Sequence:
            settings |= {"parser": integers, "metavar": "N,N,…|none"}
            default = default if default is None else ",".join(map(str, default)) or "none"
            kind = Any
        if get_origin(kind) is Literal:
            choices = get_args(kind)
            settings |= {"parser": one_of(name, choices), "metavar": "NAME"}
            settings["help"] += f" One of {', '.join(choices)}."
            kind = Any
        option = typer.Option(*filter(None, [names.get(name)]), **settings)
        options[name] = inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind | None, option]
        )
    return options


def descriptions_of(callee: Any) -> dict[str, str]:
    """What the docstring says of each argument, or where a class says nothing that of the nearest base."""
    described = {}
    for each in reversed(getattr(callee, "__mro__", (callee,))):
        for parameter in docstring_parser.parse(each.__doc__ or "").params:
            text = " ".join((parameter.description or "").replace("`", "").split())
            described[parameter.arg_name] = text[:1].upper() + text[1:]
    return described


def integers(text: str) -> tuple[int, ...]:
    """The integers of "32,64", or of "none"."""
    try:
        return () if text == "none" else tuple(int(number) for number in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"expected integers like 32,64, or none; got {text!r}") from None


def one_of(name: str, choices: Collection[str]) -> Callable[[str], str]:
    """What finds the right spelling of a choice, or says what is meant by one that is nearly right."""

    def parse(text: str) -> str:
        try:
            return lookup(name.replace("_", " "), text, {choice: choice for choice in choices})
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parse


def given_in(context: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given on the command line, by name; the others are their callees' to decide.

    Args:
        context: the command's `typer.Context` (click's, or of typer's own copy of click).
        values: what the command is called with: before typer 0.21 the context's own are not converted yet.
    """
    return {
        name: value
        for name, value in values.items()
        if getattr(context.get_parameter_source(name), "name", "") != "DEFAULT"
    }
