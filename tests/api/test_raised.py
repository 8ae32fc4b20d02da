"""What a plugin raised is told in one line, with the line of its own that did."""

from types import ModuleType

import pytest

from bench_core.errors import raised

CODE = """\
import torch

def without_words():
    raise RuntimeError

def deep_in_a_library():
    return torch.zeros(2) @ torch.zeros(3)

def at_length():
    raise ValueError("no\\n" + "x" * 10_000)
"""


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    module = ModuleType("strange_attack")
    exec(compile(CODE, "strange_attack.py", "exec"), vars(module))
    return module


def told(plugin: ModuleType, name: str) -> str:
    try:
        getattr(plugin, name)()
    except Exception as error:
        return raised(error)
    raise AssertionError("nothing was raised")


def test_an_exception_without_words_has_a_place(plugin: ModuleType) -> None:
    assert told(plugin, "without_words") == "raised RuntimeError (in strange_attack, line 4)"


def test_what_a_library_raised_is_placed_where_the_plugin_called_it(plugin: ModuleType) -> None:
    line = told(plugin, "deep_in_a_library")
    assert line.startswith("raised RuntimeError: ")
    assert "size" in line
    assert line.endswith(" (in strange_attack, line 7)")


def test_a_long_story_is_cut_to_one_line_and_keeps_its_place(plugin: ModuleType) -> None:
    line = told(plugin, "at_length")
    assert line.startswith(r"raised ValueError: no\nxxx")
    assert len(line) < 500
    assert line.endswith(" (in strange_attack, line 10)")


def test_an_exception_that_came_from_elsewhere_has_no_place() -> None:
    assert raised(ValueError("no")) == "raised ValueError: no"
