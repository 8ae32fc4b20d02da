"""The site in a real browser: accessible by axe-core's rules on phone and desk, light and dark; no requests."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench_core import run
from bench_core.reports.site.build import Builder
from bench_core.reports.site.found import find_site_runs

from .test_page_layout import DESK, PHONE
from .test_site import MORE, another, entries

AXE = os.environ.get("BENCH_AXE", "")  # the file axe.min.js of the npm package axe-core
PLOT = """
[[plots]]
name = "matrix"
kind = "heatmap"
value = "transfer.success"
"""


@pytest.fixture
def site(write_suite: Callable[..., str], registry, tmp_path: Path) -> Path:
    """A site of two runs with a plot and a gallery."""
    suite = write_suite(*MORE, append=PLOT)
    folder = run(suite, out=tmp_path / "results", executor="inline", registry=registry).folder
    runs = find_site_runs([str(folder), str(another(folder, "later"))])
    Builder(tmp_path / "site", "a site", gallery=1, given_registry=registry).build(runs)
    return tmp_path / "site"


@pytest.fixture
def restored(browser) -> Iterator[None]:
    """Restore the browser's settings after the test."""
    yield
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def kinds(site: Path) -> list[Path]:
    """Return one page of each kind."""
    return [
        site / "index.html",
        *(sorted((site / kind).glob("*.html"))[0] for kind in ("boards", "attacks", "networks", "runs")),
    ]


@pytest.mark.skipif(not AXE, reason="BENCH_AXE names no axe.min.js (npm install axe-core)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.usefixtures("restored")
def test_axe_finds_nothing(browser, site: Path, size: dict, scheme: str) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for page in kinds(site):
        browser.get(page.as_uri())
        browser.execute_cdp_cmd("Runtime.evaluate", {"expression": Path(AXE).read_text(encoding="utf-8")})
        found = browser.execute_async_script("axe.run().then(arguments[0])")
        problems = [
            (problem["id"], problem["help"], [node["html"] for node in problem["nodes"]][:3])
            for problem in found["violations"]
        ]
        assert problems == [], page
        assert len(found["passes"]) > 15, "the rules were applied"
        assert browser.execute_script("return document.documentElement.scrollWidth") <= size["width"]


@pytest.mark.usefixtures("restored")
def test_nothing_is_requested_from_elsewhere_and_no_page_has_an_error(browser, site: Path) -> None:
    browser.get_log("performance"), browser.get_log("browser")  # what earlier tests have left
    for page in kinds(site):
        browser.get(page.as_uri())
        assert browser.get_log("browser") == [], page
        assert browser.execute_script("return getComputedStyle(document.querySelector('main')).display") == "block"
        assert browser.execute_script(
            "return [...document.images].every((image) => image.naturalWidth > 0 || image.loading)"
        )
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    addresses = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert len(addresses) > 10
    assert all(address.startswith((site.as_uri(), "data:")) for address in addresses)


def rows(browser) -> list[list[str]]:
    script = """return [...document.querySelectorAll('#table-board tbody tr')].filter((row) => row.checkVisibility())
        .map((row) => [...row.cells].slice(0, 3).map((cell) => cell.firstChild?.textContent.trim() ?? ''))"""
    return browser.execute_script(script)


@pytest.mark.usefixtures("restored")
def test_a_leaderboard_is_sorted_and_filtered_with_the_keyboard(browser, site: Path) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    (page,) = (site / "boards").glob("*.html")
    browser.get(page.as_uri())
    (board,) = json.loads((site / "index.json").read_text())["leaderboards"]
    overall = rows(browser)
    assert len(overall) == 3
    assert [float(row[2]) for row in overall] == [round(100 * entry["value"], 1) for entry in entries(board)]
    header = browser.find_elements("css selector", "#table-board thead button")[0]
    header.send_keys(Keys.ENTER)
    assert [row[0] for row in rows(browser)] == sorted(row[0] for row in overall)
    Select(browser.find_element("css selector", "select[data-scope=target]")).select_by_visible_text("B")
    text = page.read_text()
    scopes = json.loads(text.partition('data-scopes="table-board">')[2].partition("</script>")[0])
    lines = {overall[line[0]][0]: [line[1], line[2].split()[0]] for line in scopes['["","B"]']["rows"]}
    assert rows(browser) == [[name, *lines[name]] for name in sorted(lines)], "the sorting by name is kept"
    Select(browser.find_element("css selector", "select[data-column]")).select_by_visible_text("momentum")
    assert [row[0] for row in rows(browser)] == ["MI"]
    assert browser.find_element("css selector", "output").text == "1 row, 1 pair"
    Select(browser.find_element("css selector", "select[data-column]")).select_by_visible_text("all")
    Select(browser.find_element("css selector", "select[data-scope=target]")).select_by_visible_text("all")
    assert rows(browser) == sorted(overall)
    score = browser.find_elements("css selector", "#table-board thead button")[2]
    score.send_keys(Keys.ENTER)
    score.send_keys(Keys.ENTER)
    assert [float(row[2]) for row in rows(browser)] == sorted(float(row[2]) for row in overall), "the lowest first"
    Select(browser.find_element("css selector", "select[data-scope=target]")).select_by_visible_text("B")
    assert [float(row[2]) for row in rows(browser)] == sorted(float(value) for _, value in lines.values())
    assert score.find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    browser.find_element("css selector", "input[type=search]").send_keys("fgsm")
    assert [row[0] for row in rows(browser)] == ["FGSM"]
    Select(browser.find_element("css selector", "select[data-scope=target]")).select_by_visible_text("all")
    assert browser.find_element("css selector", "output").text == "3 rows"
