"""AutoAttack and foolbox as attacks of bench: the libraries' results, the contracts, and the host's seed."""

import logging
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from bench_core.registry import Offer, Origin
from bench_core.types import Budget, Examples
from bench_core.worker.attack_run import AttackRun
from bench_core.worker.contracts import check_images
from bench_core.worker.instrument import PassCounter

from .scene import examples, network, streams

autoattack = pytest.importorskip("bench_attacks.bridges.autoattack", exc_type=ImportError)
foolbox = pytest.importorskip("bench_attacks.bridges.foolbox", exc_type=ImportError)

RECIPES = {**autoattack.bench_attacks(), **foolbox.bench_attacks()}
MODEL = network(3).float()
LINF, L2 = Budget("linf", 0.1, 0.03, 3), Budget("l2", 0.9, 0.3, 3)
QUICK = {"only": ["apgd-ce"]}


def offer(name: str) -> Offer:
    return Offer("attacks", name, RECIPES, Origin("bridges", "tests", "1", ""))


def correct_examples(targeted: bool = False) -> Examples:
    """Return images that the network classifies correctly."""
    images = examples(5, (3, 16, 16)).images[2:].float()
    labels = MODEL(images).argmax(1)
    return Examples(images, labels, tuple(f"{i:064x}" for i in range(3)), (labels + 1) % 4 if targeted else None)


def attacked(name: str, budget: Budget, seed: int = 0, **chosen: object) -> Tensor:
    """Run a bridged attack as a worker does: seeded, guarded, its images checked."""
    options, faults = offer(name).check(chosen, "", "")
    assert not faults
    attack, clean = offer(name).build(budget, **options), correct_examples(budget.targeted)
    (images,) = AttackRun(attack, MODEL, clean, streams(clean, seed), PassCounter(MODEL)).steps()
    check_images(clean.images, images, budget)
    return images


def test_neither_library_is_imported_to_offer_its_attacks() -> None:
    code = (
        "import sys\nfrom bench_attacks.bridges import autoattack, foolbox\n"
        "names = [*autoattack.bench_attacks(), *foolbox.bench_attacks()]\nassert len(names) > 25, names\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'foolbox', 'pyautoattack')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("module", "extra"), [("autoattack", "autoattack"), ("foolbox", "foolbox")])
def test_without_a_library_its_plugin_says_what_to_install(module: str, extra: str) -> None:
    code = (
        "import importlib.util\nimportlib.util.find_spec = lambda *_: None\n"
        f"try:\n    import bench_attacks.bridges.{module}\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f'is not installed (try pip install "adversarial-bench[{extra}]")' in done.stdout


@pytest.mark.parametrize("budget", [LINF, L2], ids=["linf", "l2"])
def test_autoattack_is_the_librarys_own(budget: Budget) -> None:
    from pyautoattack.autoattack import AutoAttack

    clean = correct_examples()
    seed = int(clean.ids[0][:12], 16) % 2**31
    theirs = AutoAttack(
        MODEL, attacks=["apgd-ce"], eps=budget.eps, norm=autoattack.NORMS[budget.norm], seed=seed, version="custom"
    )
    theirs.verbose, theirs.apgd.n_restarts = False, 1
    expected, _ = theirs.run_standard_evaluation(clean.images.clone(), clean.labels.clone(), batch_size=3)
    assert torch.equal(attacked("autoattack", budget, **QUICK), expected)


def test_the_standard_version_runs_all_four_parts_with_their_hundred_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a constant network: APGD's 100 steps, 100 for each of 3 targets, FAB's 3 of 100, Square's 5,000 queries."""
    clean, constant = correct_examples(), network(3).float()
    constant[-1].weight.data.zero_()
    constant[-1].bias.data = 5.0 * torch.nn.functional.one_hot(torch.tensor(1), 4)
    labels = torch.ones(3, dtype=torch.int64)
    attack = offer("autoattack").build(LINF)
    passes = PassCounter(constant)
    single = Examples(clean.images[:1], labels[:1], clean.ids[:1])
    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    (images,) = AttackRun(attack, constant, single, streams(single), passes).steps()
    assert torch.equal(images, single.images), "the image is returned unchanged if the attack fails"
    assert 5000 + 700 <= passes.forwards <= 5000 + 1500
    assert 700 <= passes.backwards <= 1500


@pytest.mark.parametrize(("name", "options"), [("autoattack", QUICK), ("foolbox:LinfPGD", {})])
def test_the_hosts_seed_decides_what_the_library_draws(name: str, options: dict[str, object]) -> None:
    budget = Budget("linf", 0.5, 0.1, 2, random_start=True)
    before = torch.get_rng_state()
    name = "foolbox:LinfProjectedGradientDescentAttack" if name.endswith("PGD") else name
    first, repeated, reseeded = (attacked(name, budget, seed, **options) for seed in (1, 1, 2))
    assert torch.equal(first, repeated)
    assert not torch.equal(first, reseeded)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(
    ("name", "budget"),
    [
        ("LinfProjectedGradientDescentAttack", LINF),
        ("L2ProjectedGradientDescentAttack", L2),
        ("LinfBasicIterativeAttack", LINF),
        ("L2CarliniWagnerAttack", L2),
    ],
)
def test_the_budget_reaches_foolbox(name: str, budget: Budget, targeted: bool) -> None:
    import foolbox as library

    budget = Budget(**vars(budget) | {"targeted": targeted})
    clean = correct_examples(targeted)
    settings = {"steps": 3, "abs_stepsize": budget.step_size, "random_start": False}
    attack = getattr(library.attacks, name)(**({"steps": 3} if "Carlini" in name else settings))
    criterion = library.criteria.Misclassification(clean.labels)
    if clean.targets is not None:
        criterion = library.criteria.TargetedMisclassification(clean.targets)
    _, expected, fooled = attack(
        library.PyTorchModel(MODEL, bounds=(0, 1)), clean.images, criterion, epsilons=budget.eps
    )
    if "Carlini" in name:
        expected = expected.where(fooled.view(-1, 1, 1, 1), clean.images)
    assert torch.equal(attacked(f"foolbox:{name}", budget), expected)


@pytest.mark.parametrize("name", ["L2CarliniWagnerAttack", "L2DeepFoolAttack", "DDNAttack", "L2FMNAttack"])
def test_a_search_that_fails_inside_the_ball_returns_the_clean_image(name: str) -> None:
    """Foolbox returns a black image, clipped to the ball, or the last image that it tried."""
    images = attacked(f"foolbox:{name}", Budget("l2", 1e-3, 1e-3, 2))
    assert torch.equal(images, correct_examples().images)


@pytest.mark.parametrize("name", ["L2CarliniWagnerAttack", "L2DeepFoolAttack", "DDNAttack", "L2FMNAttack"])
def test_a_search_that_succeeds_returns_adversarial_examples(name: str) -> None:
    images = attacked(f"foolbox:{name}", Budget("l2", 50.0, 1.0, 100))
    fooled = MODEL(images).argmax(1) != correct_examples().labels
    assert fooled.any()
    assert torch.equal(images[~fooled], correct_examples().images[~fooled])


@pytest.mark.parametrize("eps", [256.0, 65.0, 10.0])
def test_the_l0_search_counts_pixels_inside_the_ball(eps: float) -> None:
    """Foolbox counts changed values, and cannot cut a perturbation to the ball."""
    import foolbox as library

    clean = correct_examples()
    criterion = library.criteria.Misclassification(clean.labels)
    found, _, fooled = library.attacks.L0FMNAttack(steps=200)(
        library.PyTorchModel(MODEL, bounds=(0, 1)), clean.images, criterion, epsilons=None
    )
    changed = (found != clean.images).any(1).flatten(1).sum(1)
    kept = fooled & (changed <= eps)
    assert kept.sum() == {256: 3, 65: 2, 10: 0}[int(eps)]
    expected = found.where(kept.view(-1, 1, 1, 1), clean.images)
    assert torch.equal(attacked("foolbox:L0FMNAttack", Budget("l0", eps, 1.0, 200)), expected)


def test_options_pass_through_and_are_typed() -> None:
    listed = {option.name: (option.type, option.default) for option in offer("foolbox:L2CarliniWagnerAttack").options}
    assert listed["confidence"] == ("float", 0)
    assert not set(listed) & {"steps", "abs_stepsize", "rel_stepsize", "random_start"}
    adam = "foolbox:L2AdamProjectedGradientDescentAttack"
    assert not torch.equal(attacked(adam, L2, adam_beta1=0.9), attacked(adam, L2, adam_beta1=0.0))
    for wrong, message in (({"confidense": 1.0}, 'did you mean "confidence"'), ({"steps": 3}, "unknown key")):
        _, (fault,) = offer("foolbox:L2CarliniWagnerAttack").check(wrong, "suite", "attacks.X")
        assert message in str(fault)
    _, (fault,) = offer("autoattack").check({"only": ["apgd"]}, "suite", "attacks.X")
    assert "apgd-ce" in str(fault)


def test_a_budget_that_does_not_fit_is_reported_before_the_run() -> None:
    message = str(offer("foolbox:L2DeepFoolAttack").build(LINF).check((3, 8, 8)))
    assert message == "recipe: L2DeepFoolAttack is bounded in l2, the budget in linf"
    targeted = Budget(**vars(LINF) | {"targeted": True})
    assert str(offer("autoattack").build(targeted).check((3, 8, 8))) == "recipe: autoattack cannot be targeted"
    for name in ("LinfDeepFoolAttack", "LinfFastGradientAttack"):
        assert str(offer(f"foolbox:{name}").build(targeted).check((3, 8, 8))) == f"recipe: {name} cannot be targeted"


FOOLBOX = [name for name in RECIPES if name.startswith("foolbox:")]


def norm_of(name: str) -> str:
    return RECIPES[name].norms[0]


@pytest.mark.parametrize("name", FOOLBOX)
def test_the_norms_are_those_of_the_library(name: str) -> None:
    """Foolbox's attacks state the distance that they minimise or that bounds them."""
    import foolbox as library

    orders = {0.0: "l0", 1.0: "l1", 2.0: "l2", float("inf"): "linf"}
    attack = getattr(library.attacks, name.removeprefix("foolbox:"))
    made = [attack(constraint=norm) for norm in ("l2", "linf")] if "HopSkip" in name else [attack()]
    assert [orders[float(each.distance.p)] for each in made] == list(RECIPES[name].norms)
    for norm in orders.values():
        refused = offer(name).build(Budget(norm, 1.0, 0.1, 2)).check((3, 16, 16))
        assert bool(refused) == (norm not in RECIPES[name].norms)


@pytest.mark.parametrize("name", FOOLBOX)
def test_what_can_be_targeted_takes_a_target(name: str) -> None:
    """Only DeepFool and the one-step attacks reject a targeted budget, and they do so before the run."""
    targeted = Budget(norm_of(name), 0.1, 0.03, 2, targeted=True)
    rejected = offer(name).build(targeted).check((3, 16, 16))
    assert bool(rejected) == ("DeepFool" in name or "FastGradientAttack" in name)
    if not rejected:
        attacked(name, targeted)


def test_all_attacks_in_the_norms_of_budgets_are_offered_by_all_their_names() -> None:
    assert {
        f"foolbox:{norm}{kind}" for norm in ("L2", "Linf") for kind in ("PGD", "MomentumIterativeFastGradientMethod")
    } <= {*FOOLBOX}
    assert "foolbox:DDNAttack" in FOOLBOX
    assert not [name for name in FOOLBOX if "BrendelBethge" in name]
    short, full = (attacked(f"foolbox:{name}", LINF) for name in ("LinfPGD", "LinfProjectedGradientDescentAttack"))
    assert torch.equal(short, full)


def test_the_summary_of_a_bridged_attack_says_that_the_loss_is_its_own() -> None:
    assert all("its own loss" in recipe.summary for recipe in RECIPES.values())


def test_every_attack_of_foolbox_can_be_described() -> None:
    for name in RECIPES:
        assert all(option.type for option in offer(name).options)
        assert not offer(name).check({}, "", "")[1]
