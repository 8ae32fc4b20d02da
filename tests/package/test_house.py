"""The house rules that a machine can check: size of files and functions, typed values between modules."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = [ROOT / "plugins" / kind / f"bench_{kind}" for kind in ("attacks", "metrics", "models", "publishers")]
FILES = sorted(path for folder in (ROOT / "bench_core", *PLUGINS) for path in folder.rglob("*.py"))
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 60
TYPED_ROOMS = ("planning", "worker", "scores", "tables")
# JSON is written here: what `bench plan --json`, run.json and the other JSON outputs hold
WRITE_JSON = re.compile(r"(record|records|json|_addressed|jsonable)$|^as_json|^to_json|^from_json|_json$")


Function = ast.FunctionDef | ast.AsyncFunctionDef


def body_lines(function: Function) -> int:
    """Count the lines of a function after its signature and docstring."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or first.lineno) - first.lineno + 1


def functions(path: Path) -> Iterator[Function]:
    yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function))


def annotations(function: Function) -> Iterator[str]:
    """Yield the type of every parameter, and of what is returned."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    types = [*(argument.annotation for argument in every if argument), function.returns]
    yield from (ast.unparse(annotation) for annotation in types if annotation)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES
    assert not [function.name for function in functions(path) if body_lines(function) > MOST_LINES_OF_A_FUNCTION]


@pytest.mark.parametrize("room", TYPED_ROOMS)
def test_typed_values_travel_between_modules(room: str) -> None:
    """A dictionary of anything stands in a signature only where JSON is read or written."""
    untyped = [
        f"{path.name}:{function.name}"
        for path in (ROOT / "bench_core" / room).rglob("*.py")
        for function in functions(path)
        if not WRITE_JSON.search(function.name)
        for annotation in annotations(function)
        if re.search(r"dict\[str, (Any|object)\]", annotation, re.IGNORECASE)
    ]
    assert not untyped
