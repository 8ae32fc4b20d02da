"""A headless browser for the tests of reports."""

import os
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser():
    """A headless browser; a machine without one skips, unless BENCH_BROWSER=1 requires one."""
    demanded = os.environ.get("BENCH_BROWSER") == "1"
    if not demanded:
        pytest.importorskip("selenium")
        if not (CHROMIUM and shutil.which("chromedriver")):
            pytest.skip("no chromium with its driver here")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    still = "--force-prefers-reduced-motion"  # a page that scrolls smoothly moves away under a click
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900", still):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()
