"""The site: right ranks, links that lead somewhere, equal bytes, nothing rendered twice, and no request elsewhere."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench_core import load_suite, run
from bench_core.cli import app, guard
from bench_core.errors import UsageError
from bench_core.reports.leaderboard import leaderboards, read_contributions
from bench_core.reports.site import build as build_module
from bench_core.reports.site.boards import Point
from bench_core.reports.site.build import Builder, Built
from bench_core.reports.site.chart import BOTTOM, LABEL, TOP, history_chart
from bench_core.reports.site.found import find_site_runs
from bench_core.reports.site.places import slug
from bench_core.reports.site.summary import pack_values, unpack_values

from .pages import Page

ATTACKS = """"PGD" = { recipe = "pgd" }
"MI" = { recipe = "mi", category = "momentum" }
"FGSM" = { recipe = "pgd", category = "one step" }"""
MORE = (('"PGD" = { recipe = "pgd" }', ATTACKS), ("mean = true", 'mean = true\nbest = "max"'))
HOSTILE = "</script><img src=x onerror='window.hacked=1'>&"


@pytest.fixture
def folder(write_suite, registry, tmp_path: Path) -> Path:
    return run(write_suite(*MORE), out=tmp_path / "results", executor="inline", registry=registry).folder


@pytest.fixture
def build(registry, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Built]:
    def of(to: Path, *runs: str | Path) -> Built:
        return Builder(to, "a site", given_registry=registry).build(find_site_runs([*map(str, runs)]))

    return of


def files(site: Path) -> dict[str, bytes]:
    paths = [path for path in site.rglob("*") if path.is_file() and ".cache" not in path.parts]
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in paths}


def entries(board: dict) -> list[dict]:
    """Return the entries of a leaderboard in the index."""
    return [dict(zip(board["columns"], entry, strict=True)) for entry in board["entries"]]


def another(folder: Path, name: str, comment: str = "\n") -> Path:
    """Return a copy of a run, with the same results and another digest."""
    copy = folder.parent / name
    shutil.copytree(folder, copy)
    record = json.loads((copy / "run.json").read_text())
    record["notes"] = [comment]
    (copy / "run.json").write_text(json.dumps(record))
    return copy


def test_every_link_leads_to_a_page_and_nothing_is_loaded_from_elsewhere(folder: Path, tmp_path, build) -> None:
    build(tmp_path / "site", folder, another(folder, "later"))
    pages = list((tmp_path / "site").rglob("*.html"))
    assert {path.parent.name for path in pages} == {"site", "runs", "boards", "attacks", "networks"}
    reached = {tmp_path / "site" / "index.html"}
    for path in pages:
        page = Page(path.read_text())
        for tag, attributes in page.elements:
            assert not [name for name in attributes if name.startswith("on")]
            address = attributes.get("href") or attributes.get("src") or ""
            if not address or address.startswith(("data:", "#")):
                continue
            assert not re.match(r"[a-z]+:|//", address), (tag, address)
            target = (path.parent / address).resolve()
            assert target.is_file(), (path, address)
            reached.add(target)
        ids = [str(attributes["id"]) for _, attributes in page.elements if attributes.get("id")]
        assert len(ids) == len(set(ids))
        assert "default-src 'none'" in str(page.all("meta"))
    assert {path.resolve() for path in pages} <= reached, "every page is linked"


def test_equal_runs_give_equal_bytes_wherever_the_site_is(folder: Path, tmp_path, build) -> None:
    build(tmp_path / "a", f"x={folder}")
    build(tmp_path / "b" / "c", f"x={folder}")
    assert files(tmp_path / "a") == files(tmp_path / "b" / "c")
    build(tmp_path / "a", f"x={folder}")
    assert files(tmp_path / "a") == files(tmp_path / "b" / "c")


def test_the_ranks_are_those_of_bench_leaderboard(folder: Path, tmp_path: Path, build, registry) -> None:
    build(tmp_path / "site", folder)
    (board,) = json.loads((tmp_path / "site" / "index.json").read_text())["leaderboards"]
    (sheet,) = leaderboards(read_contributions([str(folder)], registry))
    expected = [
        (row[0], row[1], f"{row[3]:.6g}", f"{row[4]:.6g}", f"{row[5]:.6g}", row[6], row[7]) for row in sheet.rows
    ]
    names = ("rank", "attack", "value", "low", "high", "n", "pairs")
    found = [tuple(entry[name] if not isinstance(entry[name], float) else f"{entry[name]:.6g}" for name in names)
             for entry in entries(board)]  # fmt: skip
    assert sorted(found) == sorted(expected)
    page = (tmp_path / "site" / board["page"]).read_text()
    scopes = json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    rows = [re.search(r">([^<]+)</a>", row)[1] for row in page.partition("<tbody>")[2].split("<tr>")[1:]]
    for target in ("B",):  # every attack on A is white-box
        (sheet,) = leaderboards(read_contributions([str(folder)], registry), where={"target": target})
        lines = scopes[f'["","{target}"]']["rows"]
        got = {(rows[line[0]], int(line[1].strip("=")), line[2].split()[0]) for line in lines}
        assert got == {(row[1], row[0], f"{100 * row[3]:.1f}") for row in sheet.rows}


def test_an_unchanged_run_is_not_rendered_again(folder: Path, tmp_path, build, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, original = [], build_module.load_result
    monkeypatch.setattr(
        build_module, "load_result", lambda path, registry: loaded.append(path) or original(path, registry)
    )
    later = another(folder, "later")
    assert build(tmp_path / "site", folder, later).rendered == 2
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "site").rglob("*.html")}
    assert build(tmp_path / "site", folder, later).rendered == 0
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "site").rglob("*.html")}
    assert len(loaded) == 2
    record = json.loads((later / "run.json").read_text())
    (later / "run.json").write_text(json.dumps(record | {"notes": ["changed"]}))
    assert build(tmp_path / "site", folder, later).rendered == 1
    assert loaded[2:] == [later]
    assert len([*(tmp_path / "site" / "runs").glob("*.html")]) == 2, "the page of the run as it was is removed"
    before = files(tmp_path / "site")
    build(tmp_path / "fresh", folder, later)
    assert before == files(tmp_path / "fresh"), "step by step or at once"


def test_a_run_of_three_attacks_has_few_bytes(folder: Path, tmp_path, build) -> None:
    """What a small run takes, with the pages that it is the only one of; a page that grows is noticed here."""
    build(tmp_path / "site", f"x={folder}")
    sizes = dict.fromkeys(("runs", "boards", "attacks", "networks"), 0)
    for name, content in files(tmp_path / "site").items():
        kind = name.partition("/")[0]
        sizes[kind] = sizes.get(kind, 0) + len(content)
    limits = {"runs": 12_000, "boards": 4_000, "attacks": 6_700, "networks": 4_000, "index.html": 3_300}
    assert {kind for kind, limit in limits.items() if sizes[kind] > limit} == set(), sizes


def test_a_thousand_runs_are_read_once(
    folder: Path, tmp_path, build, registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With made folders, of which one real result is returned: what is counted is how often."""
    result, record = build_module.load_result(folder, registry), build_module.read_record(folder)
    summary, loaded = build_module.summarise_run(result, record), []
    monkeypatch.setattr(build_module, "load_result", lambda path, registry: loaded.append(path) or result)
    monkeypatch.setattr(build_module, "read_record", lambda path: record)
    monkeypatch.setattr(build_module, "summarise_run", lambda *_: summary)
    monkeypatch.setattr(build_module, "figures", lambda *_, **__: [])
    made = build_module.SummarisedRun(find_site_runs([str(folder)])[0], summary[0], lambda: summary[1])
    parts = build_module.run_page_parts(made, record, result, registry, 0)
    monkeypatch.setattr(build_module, "run_page_parts", lambda *_: dict(parts))
    for number in range(1000):
        place = tmp_path / "many" / f"{number:04}"
        place.mkdir(parents=True)
        for name in ("run.json", "rows.safetensors", "scores.jsonl"):
            (place / name).write_text(f"{name} {number}")
    assert build(tmp_path / "site", tmp_path / "many").rendered == 1000
    assert build(tmp_path / "site", tmp_path / "many").rendered == 0
    assert len(loaded) == 1000
    (board,) = json.loads((tmp_path / "site" / "index.json").read_text())["leaderboards"]
    assert len(board["entries"]) == 3, "the newest result of each attack is ranked"
    assert len(board["history"]["PGD"]) == 1000


def test_runs_of_other_images_are_history_and_not_ranked(write_suite, registry, tmp_path: Path, build) -> None:
    folders = [
        run(write_suite(*MORE, ("count = 12", f"count = {count}")), out=tmp_path / str(count), executor="inline",
            registry=registry).folder
        for count in (10, 5)
    ]  # fmt: skip
    build(tmp_path / "site", *folders)
    (board,) = json.loads((tmp_path / "site" / "index.json").read_text())["leaderboards"]
    assert board["images"] == 5
    assert {entry["n"] for entry in entries(board)} == {5}
    comparable = board["history_columns"].index("comparable")
    assert [point[comparable] for point in board["history"]["PGD"]] == [0, 1]
    assert 'class="other"' in (tmp_path / "site" / "attacks" / f"{slug('PGD')}.html").read_text()


def test_names_are_no_markup_and_never_share_a_page(write_suite, registry, tmp_path: Path, build) -> None:
    name = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
    path = write_suite(*MORE, ('"MI" = {', f'"{name}" = {{'), ('title = "toy"', f'title = "{name}"'))
    folder = run(load_suite(path), out=tmp_path / "results", executor="inline", registry=registry).folder
    build(tmp_path / "site", folder)
    for path in (tmp_path / "site").rglob("*.html"):
        text = path.read_text()
        assert "<img src=x" not in text
        assert len(Page(text).all("script")) == 1 + text.count('type="application/json"')
    assert len({slug(label) for label in ("a b", "a_b", "A_b", "a.b", "..", "", "é", "a" * 300, "a" * 301)}) == 9
    assert all(re.fullmatch(r"[a-z0-9._-]+", slug(label)) for label in ("a b", "..", "", "é", "/", HOSTILE))


def test_a_chart_has_its_values_between_their_ends() -> None:
    points = [Point(run="", when=str(v), value=v, low=v - 0.1, high=v + 0.1, comparable=True) for v in (0.2, 0.5, 0.4)]
    chart = history_chart("title", points, percent=True)
    assert chart is not None
    assert [mark.x for mark in chart.marks] == sorted(mark.x for mark in chart.marks)
    assert all(BOTTOM >= mark.low > mark.y > mark.high >= TOP for mark in chart.marks)
    assert (chart.marks[0].low, chart.marks[1].high) == (BOTTOM, TOP)
    assert (chart.ticks[0], chart.ticks[-1]) == ((BOTTOM, "10.0"), (TOP, "60.0"))
    assert chart.marks[0].text == "0.2: 20.0 [10.0, 30.0]"
    assert chart.ends == ("0.2", "0.4")
    named = [point.model_copy(update={"when": "x" * 300}) for point in points]
    long = history_chart("title", named, percent=True)
    assert long is not None
    assert {len(end) for end in long.ends} == {LABEL}
    assert history_chart("title", points[:1], percent=True) is None


def test_values_are_kept_exactly() -> None:
    values = np.random.default_rng(0).random(100) / 3
    assert np.array_equal(unpack_values(pack_values(values)), values)
    assert len(unpack_values("")) == 0


def test_commits_and_dates_come_from_git(folder: Path, tmp_path: Path) -> None:
    if not shutil.which("git"):
        pytest.skip("no git here")
    from subprocess import run as call

    environment = {
        **os.environ,
        "GIT_COMMITTER_DATE": "2026-03-04T12:00:00Z",
        "GIT_AUTHOR_DATE": "2026-03-04T12:00:00Z",
    }
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "results"], [*who, "commit", "-q", "-m", "x"]):
        call(["git", "-C", str(tmp_path), *command], check=True, env=environment)
    (found,) = find_site_runs([str(folder)])
    assert found.date == "2026-03-04"
    assert re.fullmatch("[0-9a-f]{7,}", found.commit)
    assert found.when == f"2026-03-04 {found.commit}"


def test_the_command_writes_a_site_and_rejects_what_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def bench(*arguments: str) -> tuple[int, str]:
        code = guard(lambda: app(["site", *arguments], prog_name="bench", standalone_mode=False), False)
        return code, capsys.readouterr().err

    assert bench(str(tmp_path / "none"), "--to", str(tmp_path / "site")) == (
        2, f"bench: {tmp_path}/none: there is no run (bench run SUITE)\n"
    )  # fmt: skip
    with pytest.raises(UsageError):
        find_site_runs([f"a={tmp_path}"])
