"""An attack that breaks its contract voids its cell, says why, and harms nothing after it."""

import pytest
import torch

from bench_core.registry import Registry
from bench_core.run import run
from tests.toys import MISBEHAVIOURS

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


def test_eight_bit_images_stay_inside_the_ball(registry: Registry, write_suite, tmp_path) -> None:
    suite = write_suite(
        ("eps = 0.1", "eps = 0.0325"),
        ("step_size = 0.03", "step_size = 0.0325"),
        ('title = "toy"', 'title = "toy"\nquantise = true'),
    )
    result = run(suite, out=tmp_path, registry=registry, executor="inline")
    # 0.0325 * 255 = 8.29 grey levels: rounded to the nearest level, an unlucky pixel would be 9 away.
    assert result.complete
    sizes = [row.arrays["linf"] for row in result.rows if row.metric == "attack"]
    assert all((size <= 0.0325 + 1e-5).all() for size in sizes)
