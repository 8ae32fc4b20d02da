"""Reads a checkout of TransferAttack without importing it: the names of its attacks, their options, what they import.

The checkout has `transferattack/__init__.py` with a dictionary `attack_zoo`, from names to `(module, class)`, or in
older versions to a class that the file imports. An attack's class is in `transferattack/FOLDER/FILE.py`.
"""

from __future__ import annotations

import ast
import importlib.util
import operator
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeGuard

from .options import option

PACKAGE = "transferattack"
SIDE = 224  # of the collection's images, in pixels
ARITHMETIC = MappingProxyType(
    {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
)
DISTRIBUTIONS = MappingProxyType({"cv2": "opencv-python", "PIL": "pillow", "skimage": "scikit-image", "yaml": "pyyaml"})


@dataclass(frozen=True)
class Checkout:
    """A checkout of the collection, in the folder that has `transferattack/`."""

    folder: Path

    @property
    def package(self) -> Path:
        return self.folder / PACKAGE

    @cached_property
    def attacks(self) -> dict[str, AttackSource]:
        """The attacks of `attack_zoo` whose files exist, by name.

        Raises:
            ImportError: The folder is no checkout of the collection; the message is one line.
        """
        start, where = self.package / "__init__.py", f"BENCH_TRANSFERATTACK={self.folder}"
        if not start.is_file():
            raise ImportError(f"{where}: found no {PACKAGE}/__init__.py (try the folder of a checkout)")
        tree = ast.parse(start.read_bytes())
        zoo = next((node.value for node in tree.body if _is_assignment(node, "attack_zoo")), None)
        if not isinstance(zoo, ast.Dict):
            raise ImportError(f"{where}: {PACKAGE}/__init__.py has no dictionary attack_zoo (try another version)")
        imported = dict(_imported_names(tree))
        entries = zip(zoo.keys, zoo.values, strict=True)
        places = {ast.literal_eval(key): _place(value, imported) for key, value in entries if key}
        found = {name: AttackSource(self, *place) for name, place in places.items() if place}
        return {name: source for name, source in found.items() if source.file.is_file()}


@dataclass(frozen=True)
class AttackSource:
    """The source of one attack: a class of the module `transferattack.MODULE`."""

    checkout: Checkout
    module: str
    class_name: str

    @property
    def file(self) -> Path:
        return self.checkout.package.joinpath(*self.module.split(".")).with_suffix(".py")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.file.read_bytes())

    @cached_property
    def definition(self) -> ast.ClassDef | None:
        """The class, or None if the file does not define it at its top level."""
        return next(
            (node for node in self.tree.body if isinstance(node, ast.ClassDef) and node.name == self.class_name), None
        )

    @cached_property
    def lineage(self) -> tuple[AttackSource, ...]:
        """The class and those of the collection that it inherits from, in this order."""
        if self.definition is None:
            return ()
        base = next((base.id for base in self.definition.bases if isinstance(base, ast.Name)), "")
        here = any(isinstance(node, ast.ClassDef) and node.name == base for node in self.tree.body)
        module = self.module if here else self.imports.get(base)
        parent = AttackSource(self.checkout, module, base) if module else None
        return (self, *(parent.lineage if parent and parent.file.is_file() else ()))

    @cached_property
    def imports(self) -> dict[str, str]:
        """The modules of the collection from which the file imports names, by these names."""
        return dict(_imported_names(self.tree, self.module))

    def method(self, name: str) -> ast.FunctionDef | None:
        """Return a method that the class itself defines."""
        body = self.definition.body if self.definition else []
        return next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == name), None)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the constructor with their defaults; `Unknown` if there is none that is written out.

        Those of a parent are included only as far as the constructor passes `**kwargs` on: otherwise it would accept
        them and ignore them.
        """
        found: dict[str, Any] = {}
        for source in self.lineage:
            constructor = source.method("__init__")
            if constructor is None:
                continue
            found = _parameters(constructor) | found
            if not _passes_on(constructor):
                break
        return found

    @cached_property
    def options(self) -> list[dict[str, Any]]:
        """The parameters whose default is a number, a string or a list of such, as `options.option` describes them."""
        plain = {name: value for name, value in self.parameters.items() if _is_plain(value)}
        return [
            option(name, type(value[0] if isinstance(value, tuple) else value), value) for name, value in plain.items()
        ]

    @property
    def loads_networks(self) -> bool:
        """Whether the class loads networks by name, in place of attacking the one that it gets."""
        loaders = [source.method("load_model") for source in self.lineage if source.class_name != "Attack"]
        return any("super()" not in ast.unparse(loader) for loader in loaders if loader)

    @property
    def three_channels(self) -> bool:
        """Whether the class filters each of three channels with a kernel of its own."""
        calls = (node for node in self._nodes() if isinstance(node, ast.Call))
        groups = (keyword for call in calls for keyword in call.keywords if keyword.arg == "groups")
        return any(isinstance(keyword.value, ast.Constant) and keyword.value.value == 3 for keyword in groups)

    @property
    def fixed_side(self) -> bool:
        """Whether the code of the class, beside the defaults of its constructor, has the collection's image side."""
        names = ("img_height", "img_width")
        return any(
            (isinstance(node, ast.Constant) and type(node.value) is int and node.value == SIDE)
            or (isinstance(node, ast.Name) and node.id in names)
            for node in self._nodes()
        )

    def _nodes(self) -> Iterator[ast.AST]:
        """Yield the syntax tree of the class and those that it inherits from, without constructors' parameters."""
        for source in self.lineage:
            for statement in source.definition.body if source.definition else []:
                constructor = isinstance(statement, ast.FunctionDef) and statement.name == "__init__"
                for part in statement.body if constructor else [statement]:  # type: ignore[attr-defined]
                    yield from ast.walk(part)

    @property
    def missing(self) -> list[str]:
        """The distributions that the file and those that it imports need, but that are not installed."""
        needed = {name for file in self._files() for name in _outside(ast.parse(file.read_bytes()))}
        return sorted(DISTRIBUTIONS.get(name, name) for name in needed if not _is_installed(name))

    def _files(self) -> list[Path]:
        """Return the file of the attack and all files of the collection that it imports."""
        waiting, found = [self.module], dict[str, Path]()
        while waiting:
            module = waiting.pop()
            file = AttackSource(self.checkout, module, "").file
            if module in found or not file.is_file():
                continue
            found[module] = file
            waiting += dict.fromkeys(module for _, module in _imported_names(ast.parse(file.read_bytes()), module))
        return list(found.values())


class Unknown:
    """Stands for a default that is not written out, or for none."""


def _is_assignment(node: ast.stmt, name: str) -> TypeGuard[ast.Assign]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _place(value: ast.expr, imported: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the module and the class of an entry of `attack_zoo`, or None if it is neither a pair nor a class."""
    if isinstance(value, ast.Name):
        return (imported[value.id], value.id) if value.id in imported else None
    try:
        module, class_name = ast.literal_eval(value)
    except (TypeError, ValueError):
        return None
    return module.removeprefix("."), class_name


def _imported_names(tree: ast.Module, module: str = "") -> Iterator[tuple[str, str]]:
    """Yield the names that a module of the collection imports from others, each with that module's name."""
    package = module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            yield from (
                (alias.asname or alias.name, ".".join([*base, node.module or alias.name])) for alias in node.names
            )


def _parameters(constructor: ast.FunctionDef) -> dict[str, Any]:
    names = [argument.arg for argument in constructor.args.args][1:]
    defaults = [_value(default) for default in constructor.args.defaults]
    named = dict.fromkeys(names, Unknown) | dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    return named | {
        argument.arg: Unknown if default is None else _value(default)
        for argument, default in zip(constructor.args.kwonlyargs, constructor.args.kw_defaults, strict=True)
    }


def _passes_on(constructor: ast.FunctionDef) -> bool:
    """Return whether a constructor passes `**kwargs` on to that of its parent."""
    calls = (node for node in ast.walk(constructor) if isinstance(node, ast.Call))
    inits = (call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "__init__")
    return any(keyword.arg is None for call in inits for keyword in call.keywords)


def _value(node: ast.expr) -> Any:
    """Return the value of an expression of literals and arithmetic, such as `16 / 255`; else `Unknown`."""
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        left, right = _value(node.left), _value(node.right)
        return Unknown if Unknown in (left, right) else ARITHMETIC[type(node.op)](left, right)
    if isinstance(node, ast.List | ast.Tuple):
        values = tuple(map(_value, node.elts))
        return Unknown if Unknown in values else values
    try:
        return ast.literal_eval(node)
    except ValueError:
        return Unknown


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return bool(value) and len({type(each) for each in value}) == 1 and _is_plain(value[0])
    return isinstance(value, bool | int | float | str)


def _outside(tree: ast.Module) -> Iterator[str]:
    """Yield the top-level modules outside the collection that a file imports when it is imported."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def _is_installed(module: str) -> bool:
    if module in sys.stdlib_module_names or module in sys.modules or module == PACKAGE:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
