"""Images made elsewhere are matched, checked and judged."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench_core.errors import UsageError
from bench_core.exports.groups import Request
from bench_core.given.arrays import read_arrays
from bench_core.registry import Registry
from bench_core.reports.leaderboard import leaderboards, read_contributions
from bench_core.runs.judged import Origin
from bench_core.runs.load import load_result
from bench_core.runs.record import read_record

from .made import EPS, folder_of, fooled, outcomes, perturbed
from .small import COUNT, L2, LINF, PGD, EightBit, export_small, judge_small, run_small, write_suite


def test_a_folder_of_png_files_is_judged_by_their_names(registry: Registry, tmp_path: Path) -> None:
    root = folder_of(tmp_path, perturbed())
    result = judge_small(write_suite(tmp_path), root, registry, tmp_path / "out")
    assert fooled(result) == outcomes(perturbed())
    assert result.complete
    assert result.folder == tmp_path / "out" / "small" / "none-judged-theirs"
    assert "theirs on elsewhere, given and not attacked here: 6 images, 8 bits" in result.notes
    assert any("images given, not attacked here" in note for note in result.tables[0].notes)
    again = load_result(result.folder, registry)
    assert again.records() == result.records()
    assert {score.labels.relation for score in again.scores if score.metric.startswith("transfer")} == {None}


@pytest.mark.parametrize("layout", ["competition", "transferattack", "npz", "npz nhwc", "npy", "autoattack"])
def test_the_layouts_of_others(layout: str, registry: Registry, tmp_path: Path) -> None:
    data, images, channels = EightBit(3), perturbed(channels=3), 3
    file = tmp_path / "theirs"
    named = "names = true"
    match layout:
        case "competition":
            root = folder_of(tmp_path, images, "val_{:04d}.png".format)
            lines = [f"val_{place:04d},{label + 1},3" for place, label in enumerate(data.labels)]
            (root / "images.csv").write_text("ImageId,TrueLabel,TargetClass\n" + "\n".join(lines) + "\n")
        case "transferattack":
            root = folder_of(tmp_path, images, "val_{:04d}.png".format)
        case "npz":
            root, named = file.with_suffix(".npz"), ""
            order = np.arange(COUNT)[::-1]  # matched by digest, in any order
            np.savez(root, adv=images[order], ids=np.array(data.ids)[order], labels=np.array(data.labels)[order])
        case "npz nhwc":
            root, named = file.with_suffix(".npz"), ""
            np.savez(root, anything=images.transpose(0, 2, 3, 1) / 255)
        case "npy":
            root, named = file.with_suffix(".npy"), ""
            np.save(root, images)
        case "autoattack":
            root, named = file.with_suffix(".pth"), ""
            torch.save({"adv_complete": torch.from_numpy(images.astype(np.float32) / np.float32(255))}, root)
    path = write_suite(tmp_path, data=f"channels = {channels}\n{named}", model=", channels = 3")
    assert fooled(judge_small(path, root, registry, tmp_path / "out")) == outcomes(images)


def test_judged_images_stand_in_the_leaderboard_with_a_flag(registry: Registry, tmp_path: Path) -> None:
    path = write_suite(tmp_path)
    ours = run_small(path, registry, tmp_path / "out")
    export_small(ours.folder, tmp_path / "images", registry)
    judged = judge_small(path, tmp_path / "images", registry, tmp_path / "out")
    (sheet,) = leaderboards(read_contributions([str(ours.folder), str(judged.folder)], registry), score="transfer.last")
    flags = {(row[1], row[-1]): row[-2] for row in sheet.rows}
    assert len(flags) == 4
    for (_, run), text in flags.items():
        assert ("images given, not attacked here" in text) == (run == str(judged.folder))
    record = json.loads((judged.folder / "run.json").read_text())
    assert record["reproduce"].startswith(f"bench judge {tmp_path / 'images'} --suite ")
    assert {score.labels.relation for score in judged.scores if score.metric == "transfer.last"} != {None}


def test_a_targeted_suite_takes_the_target_classes_of_the_list(registry: Registry, tmp_path: Path) -> None:
    targeted = lambda text: text.replace("quantise = true", "quantise = true\ntargeted = true")  # noqa: E731
    path = write_suite(tmp_path, change=targeted)
    ours = run_small(path, registry, tmp_path / "out")
    export_small(ours.folder, tmp_path / "images", registry)
    judged = judge_small(path, tmp_path / "images", registry, tmp_path / "out")
    for attack in ("PGD", "MI"):
        run_rows = ours.arrays("transfer", attack=attack, target="A")["fooled"][:, -1]
        assert np.array_equal(judged.arrays("transfer", attack=attack, target="A")["fooled"][:, 0], run_rows)
    theirs = folder_of(tmp_path, perturbed())
    with pytest.raises(UsageError, match=r"neither the list nor the dataset has target classes \(try a column"):
        judge_small(path, theirs, registry, tmp_path / "out")


def floored(tmp_path: Path) -> Path:
    """Return a folder of images that were saved as TransferAttack does: cast to uint8 without rounding."""
    clean = EightBit().pixels
    moves = np.random.default_rng(0).choice([-EPS, EPS], clean.shape).astype(np.float32) / np.float32(255)
    floats = (clean + moves).clip(0, 1) - np.float32(1e-7)
    return folder_of(tmp_path, (floats.clip(0, 1) * 255).astype(np.uint8))


def test_floored_levels_are_recognised_and_can_be_projected(registry: Registry, tmp_path: Path) -> None:
    root, path = floored(tmp_path), write_suite(tmp_path)
    with pytest.raises(UsageError, match=r"the linf ball \(up to 17/255, eps 16/255\): their levels were floored"):
        judge_small(path, root, registry, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    result = judge_small(path, root, registry, tmp_path / "out", Origin(project=True))
    assert any("floored" in note and "projected" in note for note in result.notes)
    sizes = [row.arrays["linf"].max() for row in result.rows if row.metric == "attack"]
    assert max(sizes) <= EPS / 255 + 1e-6


@pytest.mark.parametrize(("norm", "eps"), [("l1", 0.5), ("l0", 8.0)])
def test_images_outside_a_sparse_ball_can_be_projected(
    norm: str, eps: float, registry: Registry, tmp_path: Path
) -> None:
    root = folder_of(tmp_path, perturbed())
    budget = f'[budgets.{norm}]\nnorm = "{norm}"\neps = {eps}\nstep_size = 0.2\nsteps = 3\n'
    path = write_suite(tmp_path, more=budget + '[attacks]\n"PGD" = { recipe = "pgd" }\n')
    with pytest.raises(UsageError, match=rf"6 of 6 images are outside the {norm} ball .*--project moves them inside"):
        judge_small(path, root, registry, tmp_path / "out")
    result = judge_small(path, root, registry, tmp_path / "out", Origin(project=True))
    assert result.complete
    assert any(f"outside the {norm} ball" in note and "projected" in note for note in result.notes)
    sizes = np.concatenate([row.arrays[norm] for row in result.rows if row.metric == "attack"])
    assert len(sizes) == COUNT
    room = 1 / 255 if norm == "l1" else 0  # what a level is worth
    assert (sizes <= eps + 1e-5).all()
    assert (sizes >= eps - room - 1e-5).all()


def test_classes_that_differ_and_changed_files_are_found(registry: Registry, tmp_path: Path) -> None:
    path = write_suite(tmp_path)
    ours = run_small(path, registry, tmp_path / "out")
    export_small(ours.folder, tmp_path / "images", registry)
    file = tmp_path / "images" / "A" / "PGD" / "linf" / "last" / "00003.png"
    pixels = np.array(Image.open(file))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(file)
    with pytest.raises(UsageError, match=r"00003\.png: differs from its digest in labels\.csv"):
        judge_small(path, tmp_path / "images", registry, tmp_path / "out")
    root = folder_of(tmp_path, perturbed())
    lines = [f"{place:05d},{label + 1}" for place, label in enumerate(EightBit().labels)]
    (root / "labels.csv").write_text("filename,label\n" + "\n".join(lines) + "\n")
    with pytest.raises(UsageError, match=r"are its classes counted from 1\?"):
        judge_small(path, root, registry, tmp_path / "out")


def test_a_second_time_nothing_is_computed(registry: Registry, tmp_path: Path, monkeypatch) -> None:
    from bench_core.executors.inline import Inline

    root, path = folder_of(tmp_path, perturbed()), write_suite(tmp_path)
    first = judge_small(path, root, registry, tmp_path / "out")
    moved = root.rename(tmp_path / "moved")
    monkeypatch.setattr(Inline, "run", lambda self, tasks: pytest.fail("computed again") if tasks else iter(()))
    assert fooled(judge_small(path, moved, registry, tmp_path / "out")) == fooled(first)


def test_given_images_stand_beside_attacks_in_a_suite(registry: Registry, tmp_path: Path) -> None:
    root = folder_of(tmp_path, perturbed())
    more = f'{LINF}{PGD}[given."Theirs"]\nroot = "{root}"\nsource = "A"\n'
    compared = lambda text: text.replace('best = "max"', 'best = "max"\nbaseline = { attack = "Theirs" }')  # noqa: E731
    result = run_small(write_suite(tmp_path, more, change=compared), registry, tmp_path / "out")
    assert [key[1] for key, _ in result.tables[0].rows] == ["PGD", "MI", "Theirs"]
    assert result.arrays("transfer", attack="Theirs", target="B")["fooled"][:, 0].tolist() == outcomes(perturbed())


def test_floats_of_a_quantising_suite_are_rounded_and_it_says_so(registry: Registry, tmp_path: Path) -> None:
    values = (perturbed() / 255).astype(np.float32)
    values[:, :, 0, 0] += np.where(values[:, :, 0, 0] < 0.5, 0.2 / 255, -0.2 / 255).astype(np.float32)
    np.save(tmp_path / "theirs.npy", values)
    result = judge_small(write_suite(tmp_path), tmp_path / "theirs.npy", registry, tmp_path / "out")
    assert any("rounded to 8 bits inside the ball" in note for note in result.notes)
    assert fooled(result) == outcomes(perturbed())


def test_only_the_images_that_the_suite_selects_must_be_given(registry: Registry, tmp_path: Path) -> None:
    """Which these are is known after the clean images are classified, not before, and nothing is stored here yet."""
    path = write_suite(tmp_path, change=lambda text: text.replace('rule = "all"', 'rule = "correct_by_all"'))
    ours = run_small(path, registry, tmp_path / "out")
    selected = list(ours.selected)
    assert 0 < len(selected) < COUNT
    root = folder_of(tmp_path, perturbed())
    for place in set(range(COUNT)) - set(selected):
        (root / f"{place:05d}.png").unlink()
    result = judge_small(path, root, registry, tmp_path / "fresh")
    expected = outcomes(perturbed())
    assert fooled(result) == [expected[place] for place in selected]
    (root / f"{selected[-1]:05d}.png").unlink()
    with pytest.raises(UsageError, match=f"lacks 1 of the {len(selected)} images that the suite attacks"):
        judge_small(path, root, registry, tmp_path / "other")


def test_the_list_of_an_export_is_a_csv_file_of_transferattack(registry: Registry, tmp_path: Path) -> None:
    ours = run_small(write_suite(tmp_path), registry, tmp_path / "out")
    export_small(ours.folder, tmp_path / "images", registry)
    rows = list(csv.DictReader((tmp_path / "images" / "labels.csv").open(newline="")))
    assert {"filename", "label", "targeted_label"} <= rows[0].keys()
    assert all((tmp_path / "images" / "images" / row["filename"]).is_file() for row in rows)


def test_absolute_names_go_around_a_link_to_the_folder(registry: Registry, tmp_path: Path) -> None:
    root, link = folder_of(tmp_path, perturbed()), tmp_path / "link"
    link.symlink_to(root)
    names = [str(root / f"{place:05d}.png") for place in range(COUNT)]
    (root / "labels.csv").write_text("\n".join(["filename", *names]) + "\n")
    assert fooled(judge_small(write_suite(tmp_path), link, registry, tmp_path / "out")) == outcomes(perturbed())


@pytest.mark.parametrize("kind", ["with a gradient", "bfloat16"])
def test_any_tensor_of_floats_is_read(kind: str, tmp_path: Path) -> None:
    values = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    saved = values.requires_grad_() if kind == "with a gradient" else values.bfloat16()
    torch.save({"adv": saved}, tmp_path / "theirs.pth")
    assert np.array_equal(read_arrays(tmp_path / "theirs.pth")["adv"], saved.detach().float().numpy())


def test_the_name_of_an_exported_attack_can_be_changed_but_not_of_several(registry: Registry, tmp_path: Path) -> None:
    path, out = write_suite(tmp_path), tmp_path / "out"
    ours = run_small(path, registry, out)
    export_small(ours.folder, tmp_path / "both", registry)
    with pytest.raises(UsageError, match=r"--attack: .*names its attacks itself.* PGD, MI \(omit the option\)"):
        judge_small(path, tmp_path / "both", registry, out, Origin(attack="Mine"))
    export_small(ours.folder, tmp_path / "one", registry, Request(attacks=("MI",)))
    judged = judge_small(path, tmp_path / "one", registry, out, Origin(attack="Mine", source="B"))
    assert {(row.labels.attack, row.labels.source) for row in judged.rows if row.labels.attack} == {("Mine", "B")}
    command = read_record(judged.folder).reproduce
    assert "--attack Mine" in command
    assert "--source B" in command
    assert "--budget" not in command


def test_a_suite_of_curves_shows_the_score_of_the_given_images(registry: Registry, tmp_path: Path) -> None:
    sweep = '[budgets.linf]\nnorm = "linf"\neps = ["4/255", "16/255"]\nstep_size = "eps/3"\nsteps = 3\n'
    curve = '[security_curves.curve]\nvalue = "transfer.last"\n'
    old = 'columns = ["target"]\nvalue = "transfer.last"\nbest = "max"'
    new = 'columns = ["target"]\nvalue = "curve.area"\n'
    new += '[[tables]]\nname = "worst"\nrows = ["attack", "eps"]\ncolumns = ["target"]\nvalue = "curve.worst"'
    path = write_suite(tmp_path, PGD + sweep + curve, change=lambda text: text.replace(old, new, 1))
    with pytest.raises(UsageError, match=r"--budget: missing \(the suite has linf eps=4/255, linf eps=16/255\)"):
        judge_small(path, folder_of(tmp_path, perturbed()), registry, tmp_path / "out")
    origin = Origin(budget="linf eps=16/255")
    result = judge_small(path, tmp_path / "theirs", registry, tmp_path / "out", origin)
    (table,) = result.tables
    assert table.title == "transfer.last of the given images, at their eps"
    values = {score.labels.target: score.score.value for score in result.scores if score.metric == "transfer.last"}
    assert values["B"] == pytest.approx(np.mean(outcomes(perturbed())))
    assert sorted(cell.value for _, cells in table.rows for cell in cells) == sorted(values.values())


@pytest.mark.parametrize(("budget", "shown"), [("linf", ["main", "of_linf"]), ("l2", ["main", "of_l2"])])
def test_tables_of_other_budgets_are_left_out(
    registry: Registry, tmp_path: Path, budget: str, shown: list[str]
) -> None:
    table = '[[tables]]\nname = "{}"\nrows = ["attack"]\ncolumns = ["target"]\nvalue = "transfer.last"\nwhere = {}\n'
    more = [table.format("of_linf", '{ budget = "linf" }'), table.format("of_l2", '{ norm = "l2" }')]
    path = write_suite(tmp_path, PGD + "".join(more) + LINF + L2)
    result = judge_small(path, folder_of(tmp_path, perturbed()), registry, tmp_path / "out", Origin(budget=budget))
    assert [table.name for table in result.tables] == shown
    assert all(table.rows for table in result.tables)
