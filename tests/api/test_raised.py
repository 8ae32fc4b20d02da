"""An exception of a plugin is reported in one line, with the line of the plugin's code that caused it."""

from types import ModuleType

import pytest

from bench_core.errors import raised

CODE = """\
import torch

def without_message():
    raise RuntimeError

def deep_in_a_library():
    return torch.zeros(2) @ torch.zeros(3)

def with_long_message():
    raise ValueError("no\\n" + "x" * 10_000)
"""


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    module = ModuleType("strange_attack")
    exec(compile(CODE, "strange_attack.py", "exec"), vars(module))
    return module


def reported(plugin: ModuleType, name: str) -> str:
    try:
        getattr(plugin, name)()
    except Exception as error:
        return raised(error)
    raise AssertionError("nothing was raised")


def test_an_exception_without_a_message_has_a_location(plugin: ModuleType) -> None:
    assert reported(plugin, "without_message") == "raised RuntimeError (in strange_attack, line 4)"


def test_an_exception_in_a_library_is_located_where_the_plugin_called_it(plugin: ModuleType) -> None:
    line = reported(plugin, "deep_in_a_library")
    assert line.startswith("raised RuntimeError: ")
    assert "size" in line
    assert line.endswith(" (in strange_attack, line 7)")


def test_a_long_message_is_cut_to_one_line_and_keeps_its_location(plugin: ModuleType) -> None:
    line = reported(plugin, "with_long_message")
    assert line.startswith(r"raised ValueError: no\nxxx")
    assert len(line) < 500
    assert line.endswith(" (in strange_attack, line 10)")


def test_an_exception_from_elsewhere_has_no_location() -> None:
    assert raised(ValueError("no")) == "raised ValueError: no"
