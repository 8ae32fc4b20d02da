"""docs/catalogue.md lists every transfer attack, and its tables follow from the runs."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from bench_attacks.plugin import RECIPES
from bench_core import load_suite, run
from bench_core.registry import Registry
from bench_core.suite.load import with_images
from bench_core.tables.table import Table, TableCell

DOCS = Path(__file__).parents[2] / "docs"
# what the catalogue leaves out: noise of another size, attacks for other questions than transfer, and compositions;
# minimal-norm attacks stop at the boundary of the source, so they do not transfer, and query attacks ask the target
NOT_LISTED = {
    "gaussian", "fgsm", "single_step", "raw", "relaxed", "recover", "until_success", "until_utility",
    "interaction_only", "hybrid_ir", "sgm_ir", "ti_ir", "ddn", "fmn", "sigma_zero", "carlini_wagner", "deepfool",
    "square", "simba", "gfcs",
}  # fmt: skip


@pytest.fixture(scope="module")
def page() -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS))  # as for a script
    yield importlib.import_module("make_catalogue")
    sys.path.remove(str(DOCS))


def test_every_transfer_attack_is_listed_with_its_paper_and_cost(page: ModuleType) -> None:
    attacks = sys.modules["catalogue_attacks"]
    suites = {name: load_suite(name, "embedded") for name in page.IMAGES}
    listed = attacks.listed(suites)
    assert {part for attack in listed for part in attack.parts} == set(RECIPES) - NOT_LISTED
    costs = {attack.label: attack.cost for attack in listed}
    assert (costs["PGD"], costs["VMI"], costs["FIA"], costs["noise"]) == (20, 420, 80, 0)
    text = (DOCS / "catalogue.md").read_text()
    assert attacks.attack_list(suites) in text, "python docs/make_catalogue.py"
    assert attacks.notes(suites) in text, "python docs/make_catalogue.py"


def test_the_page_has_a_section_of_every_suite_and_keeps_what_is_written_by_hand(page: ModuleType) -> None:
    sections = page.sections_of(DOCS / "catalogue.md")
    assert set(sections) >= {*page.IMAGES, page.BRIDGE}
    for name, images in page.IMAGES.items():
        suite = load_suite(name, "embedded")
        assert with_images(suite, images).images.count == images
        assert images >= suite.images.count
        assert f"\nN = {images} images" in sections[name]


def cell(value: float, low: float, high: float) -> TableCell:
    return TableCell(value, low, high, 9)


def test_a_verdict_names_what_is_better_and_worse_than_the_baseline(page: ModuleType) -> None:
    rows = (
        (("usual", "DI"), (cell(0.5, 0.4, 0.6), TableCell())),
        (("usual", "SI"), (cell(0.6, 0.5, 0.7), cell(0.1, 0.02, 0.2))),
        (("usual", "TI"), (cell(0.3, 0.2, 0.4), cell(-0.2, -0.3, -0.1))),
        (("usual", "DEM"), (cell(0.5, 0.4, 0.6), cell(0.0, -0.1, 0.1))),
        (("equal", "SI"), (cell(0.5, 0.4, 0.6), cell(0.0, -0.1, 0.1))),
    )
    table = Table("views", "Views, compared with DI", ("budget", "attack", "VGG", "mean - DI"), 2, rows, True, ())
    assert list(sys.modules["catalogue_tables"].verdicts(table)) == [
        "Views, compared with DI (usual): better: SI (+10.0); worse: TI (-20.0); not distinguished from DI: 1 of 3",
        "Views, compared with DI (equal): better: none; worse: none; not distinguished from DI: 1 of 1",
    ]


def test_only_perturbations_that_are_more_than_a_tenth_larger_are_noted(page: ModuleType) -> None:
    sizes = {
        ("usual", "PGD"): 1.0,
        ("usual", "A"): 1.09,
        ("usual", "B"): 1.25,
        ("equal", "PGD"): 2.0,
        ("equal", "B"): 2.1,
    }
    rows = tuple((key, (cell(value, 0, 9),)) for key, value in sizes.items())
    table = Table("size", "", ("budget", "attack", "attack.l2"), 2, rows, False, ())
    entry = SimpleNamespace(name="size", baseline={"attack": "PGD"})
    result = SimpleNamespace(suite=SimpleNamespace(tables=[entry]))
    assert list(sys.modules["catalogue_tables"].sizes(table, result)) == [
        "L2 norm larger than that of PGD by more than 10% (usual): B (+25%)"
    ]


def test_a_section_ranks_attacks_within_both_budgets(page: ModuleType, installed: Registry, tmp_path: Path) -> None:
    changed = ['images.models=["ResNet-S"]', 'targets=["VGG"]', "budgets.equal.passes=40", "budgets.equal.steps=20"]
    suite = load_suite("transfer_ensembles", "embedded", [*changed, 'sources=["ResNet-S"]', "attacks.VMI.neighbours=3"])
    kept = {label: suite.attacks[label] for label in ("PGD", "MI", "DI", "VMI")}
    result = run(
        suite.model_copy(update={"attacks": kept}), out=tmp_path, limit=4, registry=installed, executor="inline"
    )
    text = sys.modules["catalogue_tables"].section(result)
    assert text.startswith("## transfer_ensembles\n")
    assert "N = 4 images" in text
    assert "| rank, usual | success (%), usual | passes, usual | front, usual | rank, equal |" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| VMI |")]
    assert [cell.strip() for cell in row.split("|")][4::4][:2] == ["80", "40"]
