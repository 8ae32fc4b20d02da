"""An attack that breaks its contract voids its cell, with the reason, and affects nothing after it."""

import re

import numpy as np
import pytest
import torch

from bench_core.errors import UsageError
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, Registry
from bench_core.run_suite import run
from bench_core.types import AttackRecipe, DataRecipe
from tests.toys import MISBEHAVIOURS, Misbehaving, ToyImages

INLINE = sorted(set(MISBEHAVIOURS) - {"exits"})


@pytest.mark.parametrize("name", INLINE)
def test_a_broken_contract_voids_the_cell_and_no_other(name, registry: Registry, write_suite, tmp_path) -> None:
    suite = write_suite(
        ('"PGD" = { recipe = "pgd" }', f'"bad" = {{ recipe = "bad_{name}" }}\n"PGD" = {{ recipe = "pgd" }}')
    )
    good = run(write_suite(name="good"), out=tmp_path / "good", registry=registry, executor="inline")
    result = run(suite, out=tmp_path / "out", registry=registry, executor="inline")
    bad = [score for score in result.scores if score.labels.get("attack") == "bad"]
    assert bad
    assert all(score.void and MISBEHAVIOURS[name][1] in score.void for score in bad), {score.void for score in bad}
    assert "\n" not in bad[0].void
    kept = [score.record() for score in result.scores if score.labels.get("attack") == "PGD"]
    assert kept == [score.record() for score in good.scores if score.labels.get("attack") == "PGD"]
    assert not result.complete
    assert any(note.startswith("void: ") for note in result.tables[0].notes)


def test_the_process_is_put_back_after_a_misbehaving_attack(registry: Registry, write_suite, tmp_path) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    for name in ("threads", "global_random"):
        suite = write_suite(('{ recipe = "pgd" }', f'{{ recipe = "bad_{name}" }}'), name=name)
        run(suite, out=tmp_path, registry=registry, executor="inline")
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


class Grey:
    """Offers a dataset of grey images and an attack that makes every pixel 8.29 grey levels brighter."""

    @hookimpl
    def bench_datasets(self):
        def grey(level: float):
            data = ToyImages()
            data.pixels = (data.pixels * 0 + level / 255).astype(np.float32)
            return data

        return {"grey": DataRecipe(grey, "grey images")}

    @hookimpl
    def bench_attacks(self):
        def brighter(budget):
            return Misbehaving(budget, lambda _model, examples, limits: examples.images + limits.eps)

        return {"brighter": AttackRecipe(brighter, "adds eps")}


@pytest.mark.parametrize(
    ("quantise", "level", "size"),
    [
        ("true", 100.0, 8.0),  # 108.29 is rounded to 108
        ("true", 100.1, 7.9),
        ("true", 99.6, 7.4),  # 107.89 would be rounded to 108, 8.4 levels away: outside, so it becomes 107
        ("true", 100.3, 7.7),  # likewise 108.59 becomes 108, not 109
        ("false", 100.3, 8.29),
    ],
)
def test_eight_bit_images_stay_inside_the_ball(
    quantise: str, level: float, size: float, registry: Registry, write_suite, tmp_path
) -> None:
    registry.register(Grey(), Origin("grey", "tests", "1", "grey-source"))
    suite = write_suite(
        ("eps = 0.1", f"eps = {8.29 / 255}"),
        ('title = "toy"', f'title = "toy"\nquantise = {quantise}'),
        ('kind = "toy_images"', f'kind = "grey"\nlevel = {level}'),
        ('recipe = "pgd"', 'recipe = "brighter"'),
    )
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    assert result.complete
    sizes = [row.arrays["linf"] for row in result.rows if row.metric == "attack"]
    assert sizes
    assert all(found * 255 == pytest.approx(size, abs=1e-3) for found in np.concatenate(sizes))


def test_a_ball_without_an_image_of_8_bits_is_the_users_mistake(registry: Registry, write_suite, tmp_path) -> None:
    registry.register(Grey(), Origin("grey", "tests", "1", "grey-source"))
    suite = write_suite(
        ("eps = 0.1", f"eps = {0.2 / 255}"),
        ("step_size = 0.03", f"step_size = {0.1 / 255}"),
        ('title = "toy"', 'title = "toy"\nquantise = true'),
        ('kind = "toy_images"', 'kind = "grey"\nlevel = 100.4'),
    )
    with pytest.raises(UsageError) as raised:
        run(suite, out=tmp_path, registry=registry, executor="inline")
    assert re.search(r"quantise: image \d+ of the dataset, counted from 1, is 0.001569 from .*\(try", str(raised.value))
