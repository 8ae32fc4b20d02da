"""No code that computes is outside an address: the host's is in the host digest, a plugin's is in its recipe's digest.

The imports are read from the source here, without the code under test.
"""

from __future__ import annotations

import ast
import importlib.metadata
from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

import bench_attacks
import bench_core
import bench_metrics
import bench_models
from bench_core import code_digest, plugin_source
from bench_core.planning import host_digest
from bench_core.registry import Offer, discover

HOST = Path(bench_core.__file__).parent
PLUGINS = {package.__name__: Path(package.__file__).parent for package in (bench_attacks, bench_metrics, bench_models)}
PACKAGES = {"bench_core": HOST, **PLUGINS}

EXEMPT = {
    "bench_core": "names the public functions, which nothing here calls",
    "bench_core.digests": "computes digests, which are in the address",
    "bench_core.errors": "words of messages",
    "bench_core.files": "computes the digests of weights, which are in the address, and finds folders",
    "bench_core.given": "an empty package",
    "bench_core.given.places": "reads images, the digests of which are in the address",
    "bench_core.hookspecs": "marks hooks",
    "bench_core.lazy": "imports torch",
    "bench_core.recipe_files": "finds files; a recipe's digest covers its module",
    "bench_core.library_index": "lists what libraries offer; what is chosen is in the address",
    "bench_core.planning": "an empty package",
    "bench_core.planning.jobs": "reads a job, every field of which is in the address or in the cells' keys",
    "bench_core.planning.specs": "as planning.jobs",
    "bench_core.recipes": "holds what builds, which is in the address",
    "bench_core.registry": "finds recipes, whose code and options are in the address",
    "bench_core.reserved": "names",
    "bench_core.store": "keeps bytes; its format is checked when they are read",
}


@cache
def module_file(module: str) -> Path | None:
    package, *below = module.split(".")
    if package not in PACKAGES:
        return None
    path = PACKAGES[package].joinpath(*below)
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def module_name(file: Path) -> str:
    package, root = next((name, root) for name, root in PACKAGES.items() if root in file.parents)
    below = file.relative_to(root).with_suffix("").parts
    return ".".join([package, *(part for part in below if part != "__init__")])


class Imports(ast.NodeVisitor):
    """Collects the modules that a file imports at run time, in functions too; not those for type checkers alone."""

    def __init__(self, module: str, file: Path) -> None:
        parts = module.split(".")
        self.package = parts if file.name == "__init__.py" else parts[:-1]
        self.found: set[str] = set()
        self.visit(ast.parse(file.read_text()))

    def visit_If(self, node: ast.If) -> None:
        checked = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", "")
        for child in node.orelse if checked == "TYPE_CHECKING" else ast.iter_child_nodes(node):
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self.package[: len(self.package) - node.level + 1] if node.level else []
        module = ".".join([*base, *filter(None, [node.module])])
        self.add(module)
        for alias in node.names:
            self.add(f"{module}.{alias.name}")  # which is a module or a name in one

    def add(self, module: str) -> None:
        """Add a module and the packages around it, which Python imports first."""
        parts = module.split(".")
        self.found |= {name for end in range(1, len(parts) + 1) if module_file(name := ".".join(parts[:end]))}


@cache
def imports(module: str) -> frozenset[str]:
    file = module_file(module)
    assert file is not None, module
    return frozenset(Imports(module, file).found)


def reached(roots: set[str], package: str, stop: frozenset[str] = frozenset()) -> set[str]:
    """Return the modules below `package` that the roots import, directly or not; do not follow those in `stop`."""
    waiting, found = set(roots), set[str]()
    while waiting:
        module = waiting.pop()
        found.add(module)
        if module not in stop:
            waiting |= {name for name in imports(module) if name.startswith(package)} - found
    return found


def modules_below(folder: Path) -> set[str]:
    return {module_name(file) for file in folder.rglob("*.py")}


ROOTS = modules_below(HOST / "worker").union(*map(modules_below, PLUGINS.values()))
HOST_ROOTS = {name for root in ROOTS for name in (*imports(root), root) if name.startswith("bench_core")}


def digested() -> set[str]:
    return {module_name(Path(file)) for file in host_digest.host_files()}


def test_the_host_digest_has_all_host_code_that_computes() -> None:
    missing = reached(HOST_ROOTS, "bench_core", frozenset(EXEMPT)) - set(EXEMPT) - digested()
    assert not missing, "worker files or plugins import these, but they are not in host_files(), nor in EXEMPT"


def test_every_file_of_the_worker_is_digested() -> None:
    assert modules_below(HOST / "worker") <= digested()


def test_no_exemption_is_out_of_date() -> None:
    used = reached(HOST_ROOTS, "bench_core", frozenset(EXEMPT))
    assert not set(EXEMPT) - used, "nothing that computes imports these any more"
    assert not set(EXEMPT) & digested(), "these are digested, and need no exemption"


def test_no_host_module_is_imported_by_a_name_made_at_run_time() -> None:
    """The imports above are read from the source, so none may hide from it."""
    for module in sorted(ROOTS):
        file = module_file(module)
        assert file is not None
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in ("import_module", "__import__"):
                first = call.args[0]
                text = first.value if isinstance(first, ast.Constant) else ast.unparse(first)
                assert not str(text).startswith((".", "bench_")), f"{module}: {ast.unparse(call)}"


OFFERS = [offer for offer in discover().offers.values() if offer.origin.package == "adversarial-bench"]
UNTRACED = {offer.origin.plugin: offer for offer in OFFERS if offer.code == offer.origin.source}
TRACED = [
    offer for offer in OFFERS if offer.kind not in ("executors", "publishers") and offer.code != offer.origin.source
]


def makers(value: Any, seen: set[int]) -> Iterator[str]:
    """Yield the plugin modules of the functions, classes and objects that a recipe holds, in its closures too."""
    if id(value) in seen or isinstance(value, str | bytes | int | float | ModuleType | CodeType):
        return
    seen.add(id(value))
    module = getattr(value, "__module__", None)
    if isinstance(module, str) and module.partition(".")[0] in PLUGINS:
        yield module
    held: list[Any] = []
    if isinstance(value, partial):
        held = [value.func, value.args, value.keywords]
    elif isinstance(value, FunctionType):
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        held += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
    elif isinstance(value, dict):
        held = list(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        held = list(value)
    elif not isinstance(value, type):
        held = list(getattr(value, "__dict__", {}).values())
    for part in held:
        yield from makers(part, seen)


@pytest.mark.parametrize("offer", TRACED, ids=lambda offer: f"{offer.kind}-{offer.name}")
def test_a_recipes_digest_has_all_plugin_code_that_it_imports(offer: Offer, monkeypatch: pytest.MonkeyPatch) -> None:
    digested_files: dict[str, bytes] = {}
    original = code_digest.source_files

    def recorded(roots: Iterable[str], strict: bool = True) -> dict[str, bytes]:
        digested_files.update(files := original(roots, strict))
        return files

    monkeypatch.setattr(code_digest, "source_files", recorded)
    assert Offer(offer.kind, offer.name, offer.recipes, offer.origin).code
    roots = set(makers((offer.recipe.build, getattr(offer.recipe, "parts", ())), set()))
    assert roots
    missing = reached(roots, "bench_") - set(digested_files) - modules_below(HOST)
    assert not missing, f"a change of {sorted(missing)} would leave stored results of {offer.name} in place"


def test_most_recipes_are_traced() -> None:
    """The others change with their whole plugin, so an empty list above would prove nothing."""
    assert {"attacks", "metrics", "models", "datasets"} <= {offer.kind for offer in TRACED}
    assert {"pgd", "transfer", "embedded"} <= {offer.name for offer in TRACED}


@pytest.mark.parametrize("plugin", sorted(UNTRACED))
def test_a_recipe_that_cannot_be_traced_depends_on_all_files_of_its_plugin(
    plugin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []

    def recorded(path: Path) -> str:
        folders.append(path)
        return "digest"

    monkeypatch.setattr("bench_core.plugin_source.folder_digest", recorded)
    (point,) = importlib.metadata.entry_points(group="bench", name=plugin)
    module = point.load()
    plugin_source.source_digest(module)
    digested_files = set().union(
        *map(modules_below, folders), code_digest.source_files([module.__name__], strict=False)
    )
    missing = (
        reached(set(makers(UNTRACED[plugin].recipe.build, set())), "bench_") - digested_files - modules_below(HOST)
    )
    assert not missing - {"bench_attacks", "bench_models"}, "imported, but outside the folder that is digested"
