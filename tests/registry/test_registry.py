"""Discovery: plugins load in isolation, clashes are errors, blocked plugins are not imported."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench_core import code_digest
from bench_core.digests import folder_digest
from bench_core.errors import UsageError
from bench_core.plugin_source import source_digest
from bench_core.registry import Origin, Registry, discover
from bench_core.types import AttackRecipe
from tests.toys import ToyPlugin

PLUGIN = """
from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe

@hookimpl
def bench_attacks():
    return {{"{attack}": AttackRecipe(lambda budget: None, "from {name}")}}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a plugin as a distribution of one module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, code: str) -> None:
        (tmp_path / f"{name}_module.py").write_text(code)
        info = tmp_path / f"{name}-2.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
        (info / "entry_points.txt").write_text(f"[bench]\n{name} = {name}_module\n")
        monkeypatch.delitem(sys.modules, f"{name}_module", raising=False)

    return make


def test_a_third_party_plugin_is_found_with_its_package_and_version(install) -> None:
    install("acme", PLUGIN.format(attack="acme_attack", name="acme"))
    offer = discover().find("attacks", "acme_attack", "", "")
    assert (offer.origin.plugin, offer.origin.package, offer.origin.version) == ("acme", "acme", "2.5")
    assert len(offer.origin.source) == 64


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('no GPU')", "no GPU"),
        ("import no_such_library", "no_such_library"),
        ("BENCH_API_VERSION = 99", "made for plugin API 99, this host has 1 (try a newer bench)"),
        ("BENCH_API_VERSION = 0", "made for plugin API 0, this host supports 1 to 1 (try a newer release of the"),
        ("BENCH_API_VERSION = '1'", "BENCH_API_VERSION: found '1', expected an integer (try 1)"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("from bench_core.hookspecs import hookimpl\n@hookimpl\ndef bench_atacks(): return {}", "bench_atacks"),
        (
            "from bench_core.hookspecs import hookimpl\n@hookimpl\ndef bench_attacks(): return 1 / 0",
            "ZeroDivisionError",
        ),
    ],
)
def test_a_broken_plugin_is_listed_with_its_reason_and_breaks_nothing(install, code: str, reason: str) -> None:
    install("broken", code)
    install("sound", PLUGIN.format(attack="sound_attack", name="sound"))
    registry = discover()
    assert registry.find("attacks", "sound_attack", "", "")
    assert registry.find("attacks", "pgd", "", "")
    (unavailable,) = [plugin for plugin in registry.unavailable if plugin.plugin == "broken"]
    assert reason in unavailable.reason
    with pytest.raises(UsageError, match="broken is unavailable"):
        registry.find("attacks", "from_broken", "", "")


def test_two_plugins_with_one_name_are_an_error_that_names_both(install) -> None:
    install("one", PLUGIN.format(attack="same", name="one"))
    install("two", PLUGIN.format(attack="same", name="two"))
    with pytest.raises(UsageError, match=r"attacks\.same: both one \(one 2\.5\) and two \(two 2\.5\)"):
        discover()
    assert discover(blocked=["two"]).find("attacks", "same", "", "").origin.plugin == "one"


MARKED = """
from bench_core.hookspecs import hookimpl
from bench_core.types import AttackRecipe

@hookimpl(specname="bench_attacks")
def my_attacks():
    return {"renamed": AttackRecipe(lambda budget: None, "offered by a function of another name")}
"""


def test_a_function_marked_as_a_hook_may_have_another_name(install) -> None:
    install("marked", MARKED)
    assert "renamed" in discover().names("attacks")


def test_one_plugin_that_offers_a_name_twice_is_an_error(install) -> None:
    again = PLUGIN.format(attack="same", name="twice").replace("@hookimpl", '@hookimpl(specname="bench_attacks")')
    install(
        "twice", PLUGIN.format(attack="same", name="twice") + again.replace("def bench_attacks", "def more_attacks")
    )
    with pytest.raises(UsageError, match=r"attacks\.same: both twice \(twice 2\.5\) and twice \(twice 2\.5\)"):
        discover()


def test_the_digest_of_a_plugin_covers_what_it_imports_outside_its_own_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    inner = tmp_path / "namespace" / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner.parent, inner):
        (folder / "__init__.py").write_text("")
    (inner / "plugin.py").write_text("from ..beside import VALUE")
    (inner.parent / "beside.py").write_text("VALUE = 1")
    (tmp_path / "namespace" / "other.py").write_text("")
    for name in ("namespace", "namespace.outer", "namespace.outer.inner", "namespace.outer.inner.plugin"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    plugin = importlib.import_module("namespace.outer.inner.plugin")

    def source(changed: Path, text: str) -> str:
        folder_digest.cache_clear()
        code_digest._read.cache_clear()
        changed.write_text(text)
        return source_digest(plugin)

    first = source(inner.parent / "beside.py", "VALUE = 1")
    assert source(tmp_path / "namespace" / "other.py", "VALUE = 3") == first
    assert source(inner.parent / "beside.py", "VALUE = 2") != first


def test_a_blocked_plugin_is_never_imported(install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("shy", PLUGIN.format(attack="shy_attack", name="shy"))
    for block in ({"blocked": ["shy"]}, {}):
        monkeypatch.setenv("BENCH_BLOCK_PLUGINS", "" if block else "shy")
        registry = discover(**block)
        assert "shy_module" not in sys.modules
        assert [plugin.reason for plugin in registry.unavailable if plugin.plugin == "shy"] == ["blocked"]


def test_autoload_can_be_switched_off(install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("extra", PLUGIN.format(attack="extra_attack", name="extra"))
    monkeypatch.setenv("BENCH_DISABLE_PLUGIN_AUTOLOAD", "1")
    registry = discover()
    assert "extra_module" not in sys.modules
    assert registry.find("attacks", "pgd", "", "")


def test_an_unknown_name_is_an_error_with_the_most_similar_name(registry: Registry) -> None:
    with pytest.raises(UsageError, match=r'unknown attack "pdg" \(did you mean "pgd"\?\)'):
        registry.find("attacks", "pdg", "suite.toml", "attacks.x.recipe")


def test_attacks_of_different_families_cannot_be_joined(registry: Registry) -> None:
    with pytest.raises(UsageError, match="cannot be combined"):
        registry.compose(["pgd", "bad_nan"], "suite.toml", "attacks.x.parts")


def test_every_recipe_has_a_summary_and_options_that_can_be_listed(installed: Registry) -> None:
    for offer in installed.offers.values():
        assert offer.recipe.summary.strip(), offer.name
        for option in offer.options:
            assert option.type
            assert option.required or option.default is not ..., option


def test_registering_the_same_names_twice_is_an_error(registry: Registry) -> None:
    with pytest.raises(UsageError, match="bad_nan"):
        registry.register(ToyPlugin(), Origin("again", "tests", "1", ""))


def test_a_recipe_is_built_with_its_options(registry: Registry) -> None:
    offer = registry.find("models", "toy", "", "")
    options, faults = offer.check({"seed": 3}, "", "")
    assert not faults
    assert options == {"seed": 3}
    assert isinstance(registry.find("attacks", "pgd", "", "").recipe, AttackRecipe)


def test_a_hook_without_its_mark_is_an_error_and_not_silence() -> None:
    plugin = SimpleNamespace(bench_attacks=dict)
    with pytest.raises(RuntimeError, match="bench_attacks: not marked as a hook"):
        discover().register(plugin, Origin("mine", "mine", "1", ""))
