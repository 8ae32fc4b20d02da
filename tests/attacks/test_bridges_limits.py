"""What bridged attacks cannot attack is refused before the run, and what they cost is estimated."""

import re

import pytest
import torch
from torch import Tensor, nn

from bench_core.errors import UsageError
from bench_core.planning.plan import make_plan
from bench_core.registry import Registry
from bench_core.reports.plan import plan_text
from bench_core.run_suite import resolve_suite
from bench_core.run_suite import run as run_suite
from bench_core.store import Store
from bench_core.suite.load import load_suite
from bench_core.testing import examples, network, streams
from bench_core.types import Budget, Examples, Norm
from bench_core.worker.attack_run import AttackRun
from bench_core.worker.instrument import PassCounter

torchattacks = pytest.importorskip("torchattacks")
L2 = Budget("l2", 0.01, 0.01, 1)


def built(registry: Registry, name: str, budget: Budget, **options: object):
    offer = registry.find("attacks", name, "", "")
    checked, faults = offer.check(options, "", "")
    assert not faults
    return offer.build(budget, **checked)


def run(attack, model: nn.Module, batch: Examples) -> tuple[Tensor, tuple[float, float]]:
    """Return the last images and the passes of one image."""
    passes = PassCounter(model)
    *_, images = AttackRun(attack, model, batch, streams(batch), passes).steps()
    return images, (passes.forwards / len(batch.ids), passes.backwards / len(batch.ids))


@pytest.mark.parametrize("height", [*range(5, 21), 24, 28, 32])
@pytest.mark.parametrize("extra", [0, 5])
def test_square_in_l2_is_refused_exactly_where_the_library_raises(installed: Registry, height: int, extra: int) -> None:
    shape, model = (1, height, height + extra), network()
    attack, batch = built(installed, "torchattacks:Square", L2, n_queries=30), examples(model, shape, 2)
    rejected = attack.check(shape)
    if rejected:
        works = re.search(r"try images of (\d+)x(\d+)", str(rejected))
        assert works is not None
        assert attack.check((1, int(works[1]), int(works[2]))) is None
        with pytest.raises(RuntimeError):
            run(attack, model, batch)
    else:
        run(attack, model, batch)


class Few(nn.Module):
    """The first classes of a network."""

    def __init__(self, inner: nn.Module, classes: int) -> None:
        super().__init__()
        self.inner, self.classes = inner, classes
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images)[:, : self.classes]
        return logits


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("autoattack", {"only": ["apgd-ce"]}),
        ("autoattack", {"only": ["apgd-dlr"]}),
        ("autoattack", {"only": ["apgd-t"]}),
        ("autoattack", {"only": ["fab-t"]}),
        ("torchattacks:APGD", {"loss": "dlr"}),
        ("torchattacks:APGDT", {}),
        ("torchattacks:FAB", {"multi_targeted": True}),
    ],
)
def test_networks_of_few_classes_run_or_are_refused(installed: Registry, name: str, options, classes: int) -> None:
    if name not in installed.names("attacks"):
        pytest.skip("installed without the extra")
    attack, model = built(installed, name, Budget("linf", 1e-4, 1e-5, 2), **options), Few(network(), classes)
    images = examples(network(), (1, 12, 12), 2).images
    with torch.no_grad():
        batch = Examples(images, model(images).argmax(1), tuple(f"{i:064x}" for i in range(2)))
    if attack.check_classes(classes):
        assert f"the network has {classes} (try" in str(attack.check_classes(classes))
        with pytest.raises(IndexError):
            run(attack, model, batch)
    else:
        run(attack, model, batch)


def test_too_few_classes_are_reported_before_the_run(registry, write_suite, tmp_path, monkeypatch) -> None:
    from bench_attacks.bridges.torchattacks import TorchattacksAttack

    monkeypatch.setattr(TorchattacksAttack, "least_classes", (1000, "(try torchattacks:APGD)"))
    suite = write_suite(('{ recipe = "pgd" }', '{ recipe = "torchattacks:APGDT" }'))
    with pytest.raises(UsageError, match=r"APGDT needs at least 1000 classes, the network has \d+ \(try torchattacks"):
        run_suite(suite, out=tmp_path, registry=registry, executor="inline")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("autoattack", {"only": ["apgd-ce", "apgd-t"]}),
        ("autoattack", {"only": ["fab"]}),
        ("autoattack", {"only": ["fab-t"]}),
        ("torchattacks:PGD", {}),
        ("torchattacks:APGDT", {}),
        ("torchattacks:VMIFGSM", {"N": 3}),
        ("torchattacks:SINIFGSM", {}),
        ("torchattacks:SPSA", {"nb_sample": 20}),
        ("torchattacks:Square", {"n_queries": 200}),
        ("torchattacks:FAB", {}),
        ("foolbox:LinfPGD", {}),
        ("foolbox:LinfDeepFoolAttack", {}),
        ("foolbox:LinfRepeatedAdditiveUniformNoiseAttack", {"repeats": 30}),
    ],
)
def test_the_estimated_cost_has_the_order_of_the_counted_one(installed: Registry, name: str, options) -> None:
    if name not in installed.names("attacks"):
        pytest.skip("installed without the extra")
    attack, model = built(installed, name, Budget("linf", 1e-4, 1e-5, 10), **options), network()
    _, counted = run(attack, model, examples(model, (1, 12, 12), 2))
    for found, estimated in zip(counted, attack.cost.total(10), strict=True):
        assert estimated / 1.5 <= found <= 1.5 * estimated


@pytest.mark.parametrize("steps", [4, 9])
@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("torchattacks:PGD", "linf"), ("torchattacks:TPGD", "linf"), ("torchattacks:APGD", "linf"),
        ("torchattacks:APGDT", "linf"), ("foolbox:LinfPGD", "linf"), ("foolbox:LinfFastGradientAttack", "linf"),
        ("foolbox:L2PGD", "l2"), ("foolbox:SparseL1DescentAttack", "l1"),
        ("foolbox:L2RepeatedAdditiveGaussianNoiseAttack", "l2"),
    ],
)  # fmt: skip
def test_the_estimate_is_enough_for_an_attack_to_return_what_it_made(
    installed: Registry, name: str, norm: Norm, steps: int
) -> None:
    """A pass too few, and under a limit of passes the host stops the attack before it returns anything."""
    if name not in installed.names("attacks"):
        pytest.skip("installed without the extra")
    eps = {"linf": 1e-4, "l2": 1e-4, "l1": 1e-3, "l0": 0}[norm]
    attack, model = built(installed, name, Budget(norm, eps, max(eps, 1e-4), steps)), network()
    _, counted = run(attack, model, examples(model, (1, 12, 12), 2))
    assert sum(counted) <= sum(attack.cost.total(steps))


def test_a_search_is_planned_as_many_steps_as_it_can_use(installed: Registry) -> None:
    """Foolbox evaluates its result once more, which a search that is stopped there does not need."""
    if "foolbox:DDNAttack" not in installed.names("attacks"):
        pytest.skip("installed without the extra")
    names = ("ddn", "foolbox:DDNAttack", "foolbox:L2FMNAttack")
    costs = [built(installed, name, Budget("l2", 1.0, 0.1, 100)).cost.total(100) for name in names]
    assert [sum(cost) for cost in costs] == [200] * 3


def test_autoattack_is_planned_with_thousands_of_passes_marked_in_the_totals(registry, write_suite, tmp_path) -> None:
    if "autoattack" not in registry.names("attacks"):
        pytest.skip("installed without the extra")
    suite = write_suite(('{ recipe = "pgd" }', '{ recipe = "autoattack" }'))
    resolved = resolve_suite(load_suite(suite), registry)
    assert all(use.cost.total(1)[0] > 5000 for use in resolved.attacks.values())
    planned = plan_text(make_plan(resolved, Store(tmp_path / "store")))
    assert re.search(r"to do: ~[\d,]+ forward and ~[\d,]+ backward passes", planned)
    declared = write_suite(name="declared")
    planned = plan_text(make_plan(resolve_suite(load_suite(declared), registry), Store(tmp_path / "store")))
    assert re.search(r"to do: [\d,]+ forward and [\d,]+ backward passes", planned)
