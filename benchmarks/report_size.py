"""The size of a large report, and how fast a browser opens it: `python -m benchmarks.report_size`.

A report of 7 sources, 6 attacks, 10 targets and 1,000 images. The networks and images are the tests' toys, since the
size depends on the counts alone. Needs the extras `plots` and `test`, and Debian's chromium with its driver.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bench_core import load_suite, run
from bench_core.hookspecs import hookimpl
from bench_core.registry import Origin, discover
from bench_core.reports.page.page import run_page
from bench_core.types import DataRecipe
from tests.toys import ToyImages, ToyPlugin

MODELS = [f"N{index}" for index in range(10)]
SUITE = f"""
title = "large"
profiles = ["toy"]
sources = {MODELS[:7]}
targets = {MODELS}
data = {{ kind = "thousand" }}
images = {{ count = 1000, rule = "all" }}
compute = {{ micro_batch = 500 }}
budgets.linf = {{ norm = "linf", eps = 0.1, step_size = 0.01, steps = 20 }}
metrics = {{ transfer = {{ recipe = "transfer" }}, clean = {{ recipe = "clean_accuracy" }} }}
[attacks]
PGD = {{ recipe = "pgd" }}
MI = {{ recipe = "mi" }}
TI = {{ recipe = "ti", kernel = 3 }}
FGSM = {{ recipe = "fgsm" }}
noise = {{ recipe = "noise" }}
IR = {{ recipe = "ir", grid = 2, cells = 2, samples = 2 }}
[[tables]]
name = "main"
rows = ["source", "attack"]
columns = ["target"]
value = "transfer.success"
format = "percent"
mean = true
baseline = {{ attack = "PGD" }}
[[plots]]
name = "transfer"
kind = "heatmap"
value = "transfer.success"
panels = ["attack"]
format = "percent"
[[plots]]
name = "steps"
kind = "curves"
value = "transfer.at_step"
panels = ["source", "target"]
format = "percent"
[models]
""" + "".join(f'{name} = {{ recipe = "toy", seed = {seed} }}\n' for seed, name in enumerate(MODELS))


class ThousandImages:
    @hookimpl
    def bench_datasets(self) -> Mapping[str, DataRecipe]:
        return {"thousand": DataRecipe(lambda: ToyImages(1000), "random images")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "bench-report-size")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    registry = discover()
    registry.register(ToyPlugin(), Origin("toys", "tests", "1", "toys"))
    registry.register(ThousandImages(), Origin("thousand", "tests", "1", "thousand"))
    (out / "large.toml").write_text(SUITE)
    result = run(load_suite(str(out / "large.toml")), out=out, registry=registry, executor="inline")
    page = run_page(result.folder, registry, gallery=4)
    (out / "report.html").write_text(page)
    print(f"size: {len(page.encode()) / 1e6:.2f} MB; the same again: {page == run_page(result.folder, registry, 4)}")

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    for turn in range(3):
        browser.get((out / "report.html").as_uri())
        loaded = browser.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd")
        print(f"opened, turn {turn + 1}: {loaded / 1000:.2f} s")
    browser.quit()


if __name__ == "__main__":
    main()
