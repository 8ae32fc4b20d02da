"""`bench new`: creates a small, complete package: code, entry point, tests, a suite and a README."""

from __future__ import annotations

import keyword
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

TEMPLATES = Path(__file__).parents[1] / "templates"


def new(
    kind: Annotated[
        Literal["attack", "part", "metric", "model"],
        typer.Argument(metavar="KIND", show_default=False, help="The kind of plugin."),
    ],
    name: Annotated[
        str, typer.Argument(metavar="NAME", show_default=False, help="The name of the package, e.g. my-attack.")
    ],
    into: Annotated[Path, typer.Option(metavar="DIR", help="The folder in which to create the package.")] = Path(),
) -> None:
    """Create a package for a new plugin.

    The package provides a small attack, part of attacks, metric or model to start from. It can be installed, checked
    and run at once.
    """
    from ..errors import one_line

    module = module_name(name, "attacks" if kind == "part" else f"{kind}s")
    folder = into / module.replace("_", "-")
    written = write_package(kind, module, folder)
    print("\n".join(one_line(str(path)) for path in written))
    where = one_line(str(folder))
    print(f"\nnext: pip install --editable '{where}[test]' && bench check {module} && bench run {where}/{module}.toml")


def module_name(name: str, kind: str) -> str:
    """Return the name of the module and of its recipe. Raises UsageError if it is invalid or taken."""
    from ..errors import Fault, UsageError
    from ..registry import discover

    module = name.strip().lower().replace("-", "_")
    valid = module.isascii() and module.isidentifier() and not module.startswith("_") and len(module) <= 60
    if not valid or keyword.iskeyword(module):
        raise UsageError(Fault("new", "NAME", f'found "{name}" (try letters, digits and -, say my-attack)'))
    registry = discover()
    plugins = {offer.origin.plugin for offer in registry.offers.values()}
    offered = (kind, module) in registry.offers or module in plugins
    if offered or module in sys.stdlib_module_names or module in ("torch", "numpy", "tests"):
        raise UsageError(Fault("new", "NAME", f'"{module}" is taken (try another name)'))
    return module


def write_package(kind: str, module: str, folder: Path) -> list[Path]:
    """Write the files and return their paths. Raises UsageError if the folder exists."""
    import jinja2

    from ..errors import Fault, UsageError

    if folder.exists():
        raise UsageError(Fault("new", "NAME", f"{folder} already exists (try another name, or --into)"))
    title = module.replace("_", " ").capitalize()
    names = {"kind": kind, "module": module, "distribution": folder.name, "title": title, "name": class_name(module)}
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "tests/test_conformance.py": "test_conformance.py",
        f"{module}/__init__.py": f"{kind}/plugin.py",
        f"tests/test_{module}.py": f"{kind}/test_plugin.py",
        f"{module}.toml": f"{kind}/suite.toml",
    }
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        autoescape=False,  # Python and TOML; the names are identifiers
    )  # fmt: skip
    for file, template in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(templates.get_template(f"{template}.j2").render(names), encoding="utf-8")
    if kind == "model":
        write_weights(folder / module / "weights.safetensors")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def class_name(module: str) -> str:
    return "".join(word.capitalize() for word in module.split("_"))


def write_weights(path: Path) -> None:
    """Write random weights of a linear network: [10, 784] and [10]."""
    import numpy as np
    from safetensors.numpy import save_file

    weights = np.random.default_rng(0).standard_normal((10, 784)).astype(np.float32) / 28
    save_file({"1.weight": weights, "1.bias": np.zeros(10, np.float32)}, path)
