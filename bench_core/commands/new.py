"""`bench new`: writes a small package that is complete: code, entry point, tests, a suite, a README."""

from __future__ import annotations

import keyword
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

TEMPLATES = Path(__file__).parents[1] / "templates"


def new(
    kind: Annotated[Literal["attack", "metric", "model"], typer.Argument(help="attack, metric or model.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The package's name, say my-attack.")],
    into: Annotated[Path, typer.Option(metavar="DIR", help="Where its folder is made.")] = Path(),
) -> None:
    """Write a package that offers an attack, a metric or a model, ready to install, check and run."""
    from ..errors import one_line

    module = module_name(name, f"{kind}s")
    folder = into / module.replace("_", "-")
    written = write_package(kind, module, folder)
    print("\n".join(one_line(str(each)) for each in written))
    where = one_line(str(folder))
    print(f"\nnext: pip install --editable '{where}[test]' && bench check {module} && bench run {where}/{module}.toml")


def module_name(name: str, kind: str) -> str:
    """Make the module's and recipe's name of a package's. Raises UsageError where it will not do, or is taken."""
    from ..errors import Fault, UsageError
    from ..registry import discover

    module = name.strip().lower().replace("-", "_")
    plain = module.isascii() and module.isidentifier() and not module.startswith("_") and len(module) <= 60
    if not plain or keyword.iskeyword(module):
        raise UsageError(Fault("new", "NAME", f'found "{name}" (would do: letters, digits and -, say my-attack)'))
    registry = discover()
    offered = (kind, module) in registry.offers or any(
        each.origin.plugin == module for each in registry.offers.values()
    )
    if offered or module in sys.stdlib_module_names or module in ("torch", "numpy", "tests"):
        raise UsageError(Fault("new", "NAME", f'"{module}" is taken (would do: another name)'))
    return module


def write_package(kind: str, module: str, folder: Path) -> list[Path]:
    """Write the files and give their paths. Raises UsageError where the folder is there already."""
    import jinja2

    from ..errors import Fault, UsageError

    if folder.exists():
        raise UsageError(Fault("new", "NAME", f"{folder} is there already (would do: another name, or --into)"))
    title = module.replace("_", " ").capitalize()
    names = {"kind": kind, "module": module, "distribution": folder.name, "title": title, "name": class_name(module)}
    shared = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "tests/test_conformance.py": "test_conformance.py",
        f"{module}/__init__.py": f"{kind}/plugin.py",
        f"tests/test_{module}.py": f"{kind}/test_plugin.py",
        f"{module}.toml": f"{kind}/suite.toml",
    }
    places = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        autoescape=False,  # Python and TOML, of names that were checked to be identifiers
    )  # fmt: skip
    for file, template in shared.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(places.get_template(f"{template}.j2").render(names), encoding="utf-8")
    if kind == "model":
        write_weights(folder / module / "weights.safetensors")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def class_name(module: str) -> str:
    return "".join(word.capitalize() for word in module.split("_"))


def write_weights(path: Path) -> None:
    """Write random weights of a linear network, [10, 784] and [10]."""
    import numpy as np
    from safetensors.numpy import save_file

    drawn = np.random.default_rng(0).standard_normal((10, 784)).astype(np.float32) / 28
    save_file({"1.weight": drawn, "1.bias": np.zeros(10, np.float32)}, path)
