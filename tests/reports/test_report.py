"""The report: self-contained, inert to labels, reproducible to the byte, small, and working in a real browser."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench_core import load_result, load_suite, run
from bench_core.cli import app, guard
from bench_core.gate.compare import compare
from bench_core.reports.page.gallery import make_gallery
from bench_core.reports.page.page import _page, comparison_page, run_page
from bench_core.runs.record import read_record
from bench_core.tables.formats.html import html_table
from bench_core.tables.sheet import sheet_of
from bench_core.tables.table import Table, TableCell

from ..executors.processes import wait_until
from ..gate.simulated import shares, snapshot
from .pages import Page

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\" onclick=\"x"


@pytest.fixture
def folder(write_suite, registry, tmp_path: Path):
    """A run with hostile names and one void attack."""
    name = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
    suite = load_suite(write_suite(
        ('title = "toy"', f'title = "{name}"'), ('"A" = {', f'"{name}" = {{'),
        ('sources = ["A", ["A", "B"]]', f'sources = ["{name}", "B"]'),
        ('targets = ["A", "B"]', f'targets = ["{name}", "B"]'),
        ('"PGD" = { recipe = "pgd" }', '"PGD" = { recipe = "pgd" }\n"X" = { recipe = "bad_nan" }'),
    ))  # fmt: skip
    return run(suite, out=tmp_path / "results", executor="inline", registry=registry).folder


def test_a_report_loads_nothing_and_runs_only_its_own_script(folder: Path, registry) -> None:
    text = run_page(folder, registry, gallery=2)
    page = Page(text)
    for tag, attributes in page.elements:
        for name in ("src", "href"):
            address = attributes.get(name) or ""
            assert not address or address.startswith(("data:", "#")), (tag, address)
        assert not [name for name in attributes if name.startswith("on")], attributes
    assert len(page.all("script")) == 1
    assert "default-src 'none'" in str(page.all("meta"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)
    assert "NaN or infinity" in text
    assert len(page.all("th")) > 10
    shown = [image for image in page.all("img") if "class" not in image]
    assert len(shown) == 2 * 3  # two images, one attack that is not void, three pictures
    assert all(image["alt"] for image in page.all("img"))
    assert "bench run" in text


def test_equal_runs_give_equal_pages_and_a_missing_gallery_is_explained(folder: Path, registry) -> None:
    assert run_page(folder, registry, gallery=1) == run_page(folder, registry, gallery=1)
    assert '<p class="hint">No images: left out (--gallery 0)</p>' in run_page(folder, registry, gallery=0)
    assert '<p class="missing">No images: the suite has no source nobody</p>' in run_page(
        folder, registry, source="nobody"
    )


def test_the_gallery_shows_what_the_run_attacked(folder: Path, registry) -> None:
    """The gallery shows the predictions that the run recorded."""
    result = load_result(folder, registry)
    gallery = make_gallery(result, read_record(folder), registry, 5, "B")
    (row,) = [row for row in gallery.rows if not row.void]
    fooled = result.arrays("transfer", source="B", attack="PGD", target="B")["fooled"][:, -1]
    assert [next(s.fooled for s in shown.predictions if s.target == "B") for shown in row.images] == fooled[:5].tolist()
    assert {shown.scale for shown in row.images} == {5.0}  # 0.5 / eps, with eps = 0.1


def test_pictures_open_from_the_keyboard_and_are_on_the_page_once(folder: Path, registry) -> None:
    text = run_page(folder, registry, gallery=2)
    page = Page(text)
    openers = [button for button in page.all("button") if button.get("class") == "images"]
    assert len(openers) == 2, "a button for each image: it has the focus, and Enter clicks it"
    (dialog,) = page.all("dialog")
    assert dialog["aria-label"]
    pictures = [str(image["src"]) for image in page.all("img") if "class" not in image]
    assert all(text.count(picture) == 1 for picture in set(pictures) if pictures.count(picture) == 1)
    assert sum("times 5" in str(image["alt"]) for image in page.all("img")) == 2, "the scale is said"
    assert not Page(run_page(folder, registry, gallery=0)).all("dialog")


def test_the_command_writes_the_page_and_rejects_wrong_arguments(tmp_path, monkeypatch, capsys) -> None:
    def bench(*arguments: str) -> tuple[int, list[str]]:
        code = guard(lambda: app(["report", *arguments], prog_name="bench", standalone_mode=False), False)
        return code, capsys.readouterr().err.splitlines()

    from bench_core.gate.baselines import save_baseline

    monkeypatch.chdir(tmp_path)
    before, after = shares(np.random.default_rng(0), 2, 100)
    save_baseline(snapshot(before), tmp_path / "results/baselines/a.json", ["first"])
    save_baseline(snapshot(after), tmp_path / "b.json", ["first"])
    assert bench("--compare", "baseline:a", "b.json")[0] == 0
    assert "transfer.success attack=A0" in Path("comparison.html").read_text()
    assert bench("--compare", "b.json")[0] == 2
    assert bench("nowhere") == (
        2,
        ["bench: nowhere: no finished run is here (try the folder of a run, such as results/SUITE/PROFILE)"],
    )


def test_a_report_of_a_large_run_is_small() -> None:
    """Six tables of 7 sources, 6 attacks and 10 targets."""
    draw = np.random.default_rng(0)
    rows = tuple(
        ((f"source {s}", f"attack {a}"), tuple(TableCell(v, v - 0.02, v + 0.02, 1000) for v in draw.random(11)))
        for s in range(7) for a in range(6)
    )  # fmt: skip
    header = ("source", "attack", *(f"target {t}" for t in range(10)), "mean")
    tables = [html_table(sheet_of(Table(f"t{i}", "large", header, 2, rows, True, ()))) for i in range(6)]
    text = _page("comparison.html", "large", tables=tables, passed=True, explained=[], suite_name="large")
    assert len(text.encode()) < 1_500_000
    assert len(Page(text).all("tr")) == 6 * (1 + len(rows))
    for _, cells in rows:  # every number is on the page, with its interval
        for cell in cells:
            assert text.count(f'"{cell.value:.10g}"') == 6
            assert f"[{100 * cell.low:.1f}, {100 * cell.high:.1f}]" in text


def test_the_page_works_in_a_browser(folder: Path, registry, browser) -> None:
    path = folder / "report.html"
    path.write_text(run_page(folder, registry, gallery=2))
    browser.get_log("performance")
    browser.get(path.resolve().as_uri())
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith(("file:", "data:")) for url in requested), requested
    assert browser.execute_script("return window.hacked") is None
    browser.execute_script("document.querySelectorAll('img').forEach((each) => each.loading = 'eager')")
    ready = "return [...document.images].every((each) => each.complete && each.naturalWidth > 0)"
    wait_until(lambda: browser.execute_script(ready))
    column = "return [...document.querySelectorAll('#t1 tbody tr:not([hidden])')].map((r) => r.cells[3].dataset.sort)"
    headers = browser.find_elements("css selector", "#t1 thead button")
    headers[3].click()
    down = [float(value) for value in browser.execute_script(column) if value]
    assert down == sorted(down, reverse=True)
    assert browser.execute_script(column)[-1] == ""  # rows without a value are last
    headers[3].send_keys("\ue007")  # by the keyboard
    assert [float(value) for value in browser.execute_script(column) if value] == sorted(down)
    assert browser.find_elements("css selector", "#t1 thead th")[3].get_attribute("aria-sort") == "ascending"
    browser.find_element("css selector", "input[data-filters=t1]").send_keys("pgd")
    assert len(browser.execute_script(column)) == 2
    assert browser.find_element("css selector", "output[data-counts=t1]").text == "2 of 4 rows"
    enlarge_by_keyboard(browser)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 375


def enlarge_by_keyboard(browser) -> None:
    """Check that Enter enlarges the pictures of the first image, and that Escape puts the focus back."""
    opener, dialog = (browser.find_element("css selector", name) for name in ("button.images", "dialog"))
    assert not dialog.is_displayed()
    opener.send_keys("\ue007")  # Enter
    assert dialog.is_displayed()
    pictures = browser.find_elements("css selector", "dialog img")
    assert len(pictures) == 3
    wait_until(
        lambda: browser.execute_script("return [...document.querySelectorAll('dialog img')].every((p) => p.complete)")
    )
    assert {picture.size["width"] for picture in pictures} == {224}
    assert [each.text for each in browser.find_elements("css selector", "dialog figcaption")][1].endswith(
        "grey is zero"
    )
    browser.switch_to.active_element.send_keys("\ue00c")  # Escape
    assert not dialog.is_displayed()
    assert browser.switch_to.active_element == opener


def test_a_comparison_works_in_a_browser(tmp_path: Path, browser) -> None:
    before, after = shares(np.random.default_rng(3), 5, 200, drop=0.2)
    path = tmp_path / "c.html"
    path.write_text(comparison_page(compare(snapshot(before), snapshot(after, HOSTILE))))
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.hacked") is None
    assert browser.find_element("css selector", ".verdict").text == "The gate failed"
    assert HOSTILE in browser.find_element("tag name", "h1").text
