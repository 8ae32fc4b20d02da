"""The parts of the page: contents in sight, plots before tables, folded tables that can be searched and printed."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bench_core import run
from bench_core.registry import Registry
from bench_core.reports.page.gallery import Gallery
from bench_core.reports.page.page import _page, run_page
from bench_core.tables.formats.html import LONG, html_table, templates
from bench_core.tables.sheet import sheet_of
from bench_core.tables.table import Table, TableCell

from ..executors.processes import wait_until
from .pages import Page

MORE = """
[[tables]]
name = "last"
title = "Last step"
rows = ["source", "attack"]
columns = ["target"]
value = "transfer.last"
[[plots]]
name = "steps"
kind = "curves"
title = "Success at every step"
value = "transfer.at_step"
panels = ["source", "target"]
[[plots]]
name = "matrix"
kind = "heatmap"
value = "transfer.success"
"""
CELL = TableCell(0.5, 0.4, 0.6, 100)
PHONE = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
DESK = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}


@pytest.fixture
def text(write_suite: Callable[..., str], registry: Registry, tmp_path: Path) -> str:
    """The page of a run with two tables and two plots."""
    pytest.importorskip("matplotlib")
    result = run(write_suite(append=MORE), out=tmp_path / "results", executor="inline", registry=registry)
    return run_page(result.folder, registry, gallery=1)


def table(name: str, rows: int, cell: TableCell = CELL) -> Table:
    body = tuple(((f"{name} row {i}",), (cell,)) for i in range(rows))
    return Table(name, f"The table {name}", ("attack", "value"), 1, body, True, ("a note",))


def page_of(*tables: Table) -> str:
    nothing = html_table(sheet_of(table("nothing", 1)))
    return _page(
        "run.html", "a run", tables=[html_table(sheet_of(each)) for each in tables], forest=None, figures=[],
        gallery=Gallery(missing="none"), flags=[], facts=[("Images", "5")], environment=nothing,
        networks=nothing, suite="{}", reproduce="bench run",
    )  # fmt: skip


def test_plots_stand_before_the_tables_and_every_link_of_the_contents_leads_to_its_part(text: str) -> None:
    assert text.index('id="plots"') < text.index('id="tables"') < text.index('id="gallery"')
    page = Page(text)
    (contents,) = page.all("nav")
    assert contents["aria-label"] == "Contents"
    links = [str(link["href"]) for link in page.all("a") if "class" not in link]
    ids = [str(attributes["id"]) for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in links} <= set(ids)
    parts = [
        attributes["id"] for tag, attributes in page.elements if tag in ("section", "figure") and "id" in attributes
    ]
    parts += [f"table-{index}" for index in (1, 2)]
    assert {f"#{part}" for part in parts} == set(links)
    order = [text.index(f'id="{link[1:]}"') for link in links]
    assert order == sorted(order), "the contents have the order of the page"


def test_the_first_table_is_open_and_the_others_are_folded() -> None:
    page = Page(page_of(table("a", 3), table("b", 3), table("c", 3)))
    folds = page.all("details")[:3]
    assert ["open" in fold for fold in folds] == [True, False, False]
    assert len(page.all("summary")) == len(page.all("details")), "every folded part has a name"


@pytest.mark.parametrize(("rows", "long"), [(LONG, False), (LONG + 1, True)])
def test_a_long_table_says_how_many_rows_it_has(rows: int, long: bool) -> None:
    text = page_of(table("a", rows))
    assert (f"Show all {rows} rows" in text) == long
    assert len(re.findall(r">a row \d+<", text)) == rows, "all rows are on the page"
    assert text.count("a note") == 1 + 2


def test_pictures_have_their_size_so_that_nothing_moves_when_they_appear(text: str) -> None:
    plots = [image for image in Page(text).all("img") if image.get("class") == "plot"]
    assert len(plots) == 2
    assert all(int(str(image["width"])) > 100 and int(str(image["height"])) > 100 for image in plots)
    assert all("curves: Success at every step" in str(image["alt"]) for image in plots[:1])


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_on_every_colour_of_the_page(scheme: str) -> None:
    """Every colour of text on every colour below it has the contrast that WCAG asks of small text."""
    css = templates().get_template("report.css").render()
    light, dark = re.findall(r":root \{([^}]*)\}", css)
    colours = dict(re.findall(r"--(\w+): (#\w{6})", light if scheme == "light" else dark))
    below = {"ink": ("paper", "raised", "good"), "soft": ("paper", "raised", "good"), "link": ("paper", "raised"),
             "bad": ("paper", "raised", "badge")}  # fmt: skip
    for text, papers in below.items():
        for paper in papers:
            high, low = sorted((luminance(colours[text]), luminance(colours[paper])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, paper)


def opened(browser, path: Path, text: str, size: dict) -> None:
    path.write_text(text)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []


def search(browser, path: Path, words: str) -> None:
    """Open a page at some words, which the browser searches for as its command to find in a page does."""
    browser.get("about:blank")
    browser.get(f"{path.as_uri()}#:~:text={quote(words)}")


@pytest.fixture
def restored(browser) -> Iterator[None]:
    """Restore the browser's settings after the test."""
    yield
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


CURRENT = "return [...document.querySelectorAll('nav [aria-current]')].map((link) => link.hash)"


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.usefixtures("restored")
def test_the_contents_stay_in_sight_and_mark_the_current_part(browser, size: dict, text: str, tmp_path: Path) -> None:
    opened(browser, tmp_path / "page.html", text, size)
    for link in ("#tables", "#gallery", "#plots"):
        browser.find_element("css selector", f'nav a[href="{link}"]').click()
        nav = browser.find_element("tag name", "nav").rect
        scrolled = browser.execute_script("return scrollY")
        assert scrolled > 0
        assert 0 <= nav["y"] - scrolled < size["height"] / 2
        top = browser.execute_script(f"return document.querySelector('{link}').getBoundingClientRect().top")
        assert top < size["height"] / 3, "the part is at the top"
        if size is PHONE:
            assert top >= nav["height"] - 1, "and not under the contents"
        wait_until(lambda: len(browser.execute_script(CURRENT)) == 1)
        first_inside = {"#tables": ["#table-1"], "#plots": ["#plot-1"]}.get(link, [])
        wait_until(lambda link=link, inside=first_inside: browser.execute_script(CURRENT)[0] in [link, *inside])
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size["width"]


@pytest.mark.usefixtures("restored")
def test_a_link_and_a_search_open_a_folded_table(browser, tmp_path: Path) -> None:
    text = page_of(table("a", 3), table("b", 3), table("c", 3))
    folds = "return [...document.querySelectorAll('#tables details')].map((fold) => fold.open)"
    opened(browser, tmp_path / "page.html", text, DESK)
    assert browser.execute_script(folds) == [True, False, False]
    browser.find_element("css selector", 'nav a[href="#table-2"]').click()
    wait_until(lambda: browser.execute_script(folds) == [True, True, False])
    assert browser.execute_script("return document.getElementById('table-2').getBoundingClientRect().top") > 0
    search(browser, tmp_path / "page.html", "c row 2")
    wait_until(lambda: browser.execute_script(folds) == [True, False, True])


HEIGHT = "return document.querySelector('.long').clientHeight"
ROW = "const [row, region] = [document.querySelectorAll('#t1 tbody tr')[{0}], document.querySelector('.long')]; "
IN_SIGHT = ROW + "return row.getBoundingClientRect().bottom <= region.getBoundingClientRect().bottom"


@pytest.mark.parametrize("cell", [TableCell(0.5, 0.4, 0.6, 100), TableCell(0.5)], ids=["two lines", "one line"])
@pytest.mark.usefixtures("restored")
def test_a_long_table_shows_its_first_rows_and_all_on_a_click(browser, cell: TableCell, tmp_path: Path) -> None:
    opened(browser, tmp_path / "page.html", page_of(table("a", 40, cell)), DESK)
    shown = [browser.execute_script(IN_SIGHT.format(row)) for row in range(40)]
    assert 10 <= sum(shown) <= 14
    assert shown == sorted(shown, reverse=True)
    browser.find_element("css selector", ".all input").send_keys(" ")  # the keyboard's click
    assert all(browser.execute_script(IN_SIGHT.format(row)) for row in range(40))
    browser.find_element("css selector", ".all input").send_keys(" ")
    assert not browser.execute_script(IN_SIGHT.format(39))


@pytest.mark.usefixtures("restored")
def test_a_search_shows_a_row_of_a_long_table_where_it_finds_it(browser, tmp_path: Path) -> None:
    opened(browser, tmp_path / "page.html", page_of(table("a", 40)), DESK)
    search(browser, tmp_path / "page.html", "a row 33")
    wait_until(lambda: browser.execute_script("return document.querySelector('.all input').checked"))
    place = browser.execute_script(
        "return document.querySelectorAll('#t1 tbody tr')[33].getBoundingClientRect().toJSON()"
    )
    assert 0 <= place["top"] < place["bottom"] <= DESK["height"]


VISIBLE = "return [...document.querySelectorAll('#tables tbody tr')].filter((row) => row.checkVisibility()).length"


@pytest.mark.usefixtures("restored")
def test_without_javascript_everything_can_be_opened_and_printing_shows_all(browser, tmp_path: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    opened(browser, tmp_path / "page.html", page_of(table("a", 40), table("b", 7), table("c", 2)), DESK)
    assert browser.execute_script(VISIBLE) == 40
    assert not browser.find_element("css selector", "input[type=search]").is_displayed(), "it would do nothing"
    folded = browser.execute_script(HEIGHT)
    browser.find_element("css selector", ".all input").click()
    assert browser.execute_script(HEIGHT) > 2 * folded
    browser.find_element("css selector", ".all input").click()
    browser.find_elements("css selector", "#tables summary")[1].click()
    assert browser.execute_script(VISIBLE) == 47
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script(VISIBLE) == 49
    assert browser.execute_script(HEIGHT) > 2 * folded
    assert not browser.find_element("tag name", "nav").is_displayed()
