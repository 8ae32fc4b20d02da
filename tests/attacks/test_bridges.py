"""Attacks of torchattacks: offered without importing it, with typed options, and held to the contracts."""

import json
import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from bench_core.errors import UsageError
from bench_core.planning.plan import make_plan
from bench_core.registry import Registry
from bench_core.reports.plan import plan_text
from bench_core.run_suite import resolve_suite
from bench_core.run_suite import run as run_suite
from bench_core.store import Store
from bench_core.suite.load import load_suite
from bench_core.types import Budget, Examples
from bench_core.worker.attack_run import AttackRun
from bench_core.worker.contracts import check_images
from bench_core.worker.instrument import PassCounter

from .scene import examples, network, streams

torchattacks = pytest.importorskip("torchattacks")
torchattacks_names = sorted(set(torchattacks.__all__) - set(torchattacks.__wrapper__))

MODEL = network(3).float()
LINF, L2 = Budget("linf", 0.1, 0.03, 3), Budget("l2", 0.9, 0.3, 3)


def small(count: int = 2, shape: Sequence[int] = (3, 16, 16), targeted: bool = False) -> Examples:
    """Return images that the network classifies correctly; a search would return others unchanged."""
    images = examples(count + 2, shape).images[2:].float()
    labels = MODEL(images).argmax(1)
    return Examples(images, labels, tuple(f"{i:064x}" for i in range(count)), (labels + 1) % 4 if targeted else None)


def attacked(registry: Registry, name: str, budget: Budget, seed: int = 0, **given: object) -> Tensor:
    """Run a bridged attack as a worker does: seeded, guarded, its images checked."""
    offer = registry.find("attacks", f"torchattacks:{name}", "", "")
    options, faults = offer.check(given, "", "")
    assert not faults
    attack, clean = offer.build(budget, **options), small(targeted=budget.targeted)
    (images,) = AttackRun(attack, MODEL, clean, streams(clean, seed), PassCounter(MODEL)).steps()
    check_images(clean.images, images, budget)
    return images


def test_every_attack_of_the_library_is_offered(installed: Registry) -> None:
    offered = {name.partition(":")[2] for name in installed.names("attacks") if name.startswith("torchattacks:")}
    assert offered == set(torchattacks_names)


def test_offering_and_describing_them_imports_neither_the_library_nor_torch() -> None:
    code = (
        "import sys\nfrom bench_core.registry import discover\n"
        "offers = [o for (k, n), o in discover().offers.items() if n.startswith('torchattacks:')]\n"
        "assert len(offers) > 30 and all(isinstance(o.options, list) for o in offers)\n"
        "sys.exit('torch' in sys.modules or 'torchattacks' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_the_library_the_plugin_says_what_to_install() -> None:
    code = (
        "import sys, importlib.util\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'torchattacks' else find(name, *a)\n"
        "from bench_core.registry import discover\nfound = discover()\n"
        "print(*[f'{u.plugin}: {u.reason}' for u in found.unavailable])\n"
        "names = found.names('attacks')\nsys.exit(any(name.startswith('torchattacks:') for name in names)"
        " or 'pgd' not in names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'torchattacks is not installed (try pip install "adversarial-bench[torchattacks]")' in done.stdout


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(("name", "budget"), [("PGD", LINF), ("MIFGSM", LINF), ("PGDL2", L2)])
def test_the_budget_reaches_the_library(installed: Registry, name: str, budget: Budget, targeted: bool) -> None:
    budget = Budget(**vars(budget) | {"targeted": targeted})
    clean = small(targeted=targeted)
    start = {} if name == "MIFGSM" else {"random_start": False}
    theirs = getattr(torchattacks, name)(MODEL, eps=budget.eps, alpha=budget.step_size, steps=3, **start)
    if targeted:
        theirs.set_mode_targeted_by_label(quiet=True)
    expected = theirs(clean.images, clean.labels if clean.targets is None else clean.targets)
    assert torch.equal(attacked(installed, name, budget), expected)


def test_options_pass_through_and_are_typed(installed: Registry) -> None:
    default, undecayed = attacked(installed, "MIFGSM", LINF), attacked(installed, "MIFGSM", LINF, decay=0.0)
    assert not torch.equal(default, undecayed)
    offer = installed.find("attacks", "torchattacks:MIFGSM", "", "")
    assert [(option.name, option.type, option.default) for option in offer.options] == [("decay", "float", 1.0)]
    for wrong, message in (
        ({"decay": "much"}, "decay"),
        ({"dekay": 1.0}, 'did you mean "decay"'),
        ({"eps": 0.1}, "eps"),
    ):
        _, (fault,) = offer.check(wrong, "suite", "attacks.X")
        assert message in str(fault)
    cw = installed.find("attacks", "torchattacks:CW", "", "")
    assert {option.name: option.type for option in cw.options} == {"c": "float", "kappa": "float", "lr": "float"}


@pytest.mark.parametrize("name", ["PGD", "EOTPGD", "APGD", "GN", "Square"])
def test_the_hosts_seed_decides_what_the_library_draws(installed: Registry, name: str) -> None:
    budget = Budget("linf", 0.5, 0.1, 2, random_start=True)
    options = {"n_queries": 300} if name == "Square" else {"std": 0.02} if name == "GN" else {}
    before = torch.get_rng_state()
    first, repeated, reseeded = (attacked(installed, name, budget, seed, **options) for seed in (1, 1, 2))
    assert torch.equal(first, repeated)
    assert not torch.equal(first, reseeded)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_autoattack_keeps_the_budget(installed: Registry, norm: str) -> None:
    budget = Budget(norm, 0.5 if norm == "linf" else 8.0, 0.01, 3)
    images = attacked(installed, "AutoAttack", budget, version="rand")
    assert not torch.equal(images, small().images)


def test_a_search_that_ends_outside_the_ball_has_failed(installed: Registry) -> None:
    """DeepFool searches for the smallest perturbation and has no eps."""
    wide, narrow = (attacked(installed, "DeepFool", Budget("l2", eps, 0.1, 50)) for eps in (1e3, 1e-4))
    assert not torch.equal(wide, small().images)
    assert torch.equal(narrow, small().images)


@pytest.mark.parametrize(
    ("name", "budget", "message"),
    [
        ("PGD", L2, "PGD is bounded in Linf, the budget in l2"),
        ("PGDL2", LINF, "PGDL2 is bounded in L2, the budget in linf"),
        ("APGD", Budget("linf", 0.1, 0.03, 3, targeted=True), "APGD cannot be targeted"),
    ],
)
def test_a_budget_that_does_not_fit_is_reported_before_the_run(
    installed, name: str, budget: Budget, message: str
) -> None:
    assert message in str(installed.find("attacks", f"torchattacks:{name}", "", "").build(budget).check((3, 8, 8)))


def test_a_bridge_runs_in_a_suite_and_its_record_says_whose_randomness_it_has(registry, write_suite, tmp_path) -> None:
    both = '"PGD" = { recipe = "pgd" }\n"T" = { recipe = "torchattacks:PGD" }'
    suite = write_suite(('"PGD" = { recipe = "pgd" }', both))
    result = run_suite(suite, out=tmp_path, registry=registry, executor="inline")
    assert result.complete
    facts = json.loads((result.folder / "run.json").read_text())
    assert facts["global_seed"] == ["T"]
    assert set(facts["deviations"]) == {"T"}
    assert facts["deviations"]["T"]["cost"].startswith("the library does not declare what its attacks cost")
    planned = plan_text(make_plan(resolve_suite(load_suite(suite), registry), Store(tmp_path / "store")))
    assert "uses the global random seed, so results depend on the micro-batch: T" in planned
    assert "T declares exceptions to the rules of bench check: cost" in planned


def test_images_that_the_library_cannot_take_are_refused_before_the_run(registry, write_suite) -> None:
    suite = write_suite(('{ recipe = "pgd" }', '{ recipe = "torchattacks:TIFGSM" }'))  # the toy images have one channel
    with pytest.raises(UsageError, match=r"attacks\.PGD\.recipe: TIFGSM takes three channels"):
        resolve_suite(load_suite(suite), registry)


def test_a_bridge_that_fails_is_void(registry, write_suite, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(torchattacks.PGD, "forward", fail)
    suite = write_suite(('{ recipe = "pgd" }', '{ recipe = "torchattacks:PGD" }'))
    result = run_suite(suite, out=tmp_path, registry=registry, executor="inline")
    voids = [score.void for score in result.scores if score.labels.get("attack") == "PGD"]
    assert voids
    assert all(void and "RuntimeError: on purpose" in void for void in voids)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("AutoAttack", {"version": "bogus"}, "version: input should be 'standard', 'plus' or 'rand', found 'bogus'"),
        ("Square", {"loss": "foo"}, "loss: input should be 'ce' or 'margin', found 'foo'"),
        ("APGD", {"n_restarts": 0}, "n_restarts: input should be greater than or equal to 1, found 0"),
        ("APGDT", {"eot_iter": -1}, "eot_iter: input should be greater than or equal to 1, found -1"),
        ("VMIFGSM", {"N": 0}, "N: input should be greater than or equal to 1, found 0"),
    ],
)
def test_values_that_the_library_does_not_know_are_faults(
    installed: Registry, name: str, given: dict[str, object], message: str
) -> None:
    _, (fault,) = installed.find("attacks", f"torchattacks:{name}", "", "").check(given, "suite", "attacks.X")
    assert str(fault) == f"suite: attacks.X.{message}"


def test_the_librarys_defaults_are_valid_options(installed: Registry) -> None:
    for name in torchattacks_names:
        assert not installed.find("attacks", f"torchattacks:{name}", "", "").check({}, "", "")[1]


def test_an_unknown_name_is_reported_with_the_nearest(installed: Registry) -> None:
    with pytest.raises(UsageError, match="torchattacks:MIFGSM"):
        installed.find("attacks", "torchattacks:MIFSGM", "suite", "attacks.X")


def test_the_index_agrees_with_the_librarys_classes(installed: Registry) -> None:
    """Compare the defaults of every attack, and whether it can be targeted, with its class."""
    import inspect

    for name in torchattacks_names:
        offer, kind = installed.find("attacks", f"torchattacks:{name}", "", ""), getattr(torchattacks, name)
        parameters = inspect.signature(kind).parameters
        for option in offer.options:
            assert option.default == (None if option.required else parameters[option.name].default)
        options = {option.name: 1.0 for option in offer.options if option.required}
        norm = "l2" if "L2" in name or name == "CW" else "linf"
        rejected = offer.build(Budget(norm, 0.1, 0.03, 3, targeted=True), **options).check((3, 16, 16))
        assert ("cannot be targeted" in str(rejected)) == ("targeted" not in kind(MODEL).supported_mode)
