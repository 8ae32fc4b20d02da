"""The documentation site: one command, no warning, no link that leads nowhere, nothing from elsewhere."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import bench_core
from bench_core.suite.find import own_suites

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def site() -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS))  # as for a script
    yield importlib.import_module("make_site")
    sys.path.remove(str(DOCS))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "other.html").write_text('<h1 id="there">x</h1>')
    return tmp_path / "index.html"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('<a href="other.html#there">', None),
        ('<a href="https://arxiv.org/abs/2010.04055">', None),
        ('<a href="#here"><p id="here">', None),
        ('<a href="other.html#nowhere">', "has no such anchor"),
        ('<a href="missing.html">', "leads nowhere"),
        ('<img src="missing.png">', "leads nowhere"),
        ('<script src="https://cdn.example/x.js"></script>', "loads https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//fonts.example/x.css">', "loads //fonts.example/x.css"),
        ("<style>@import url(https://fonts.example/x.css);</style>", "loads @import"),
    ],
)
def test_links_that_lead_nowhere_and_requests_to_elsewhere_are_found(
    text: str, fault: str | None, site: ModuleType, page: Path
) -> None:
    page.write_text(text)
    found = list(site.faults(page.parent))
    assert bool(found) == (fault is not None), found
    assert fault is None or any(fault in line for line in found)


def test_the_gallery_has_every_suite_and_a_picture_of_most(site: ModuleType) -> None:
    text = site.gallery()
    for name in own_suites():
        assert f"\n## {name}\n" in text
        assert f"\nbench run {name}\n" in text
    assert text.count("![") >= len({path.name.split("_")[1] for path in (DOCS / "results").glob("*.png")})


def test_every_page_is_in_the_navigation(site: ModuleType) -> None:
    pages = [path.stem for path in DOCS.glob("*.md")]
    listed = site.index([*pages, "new-page"]).splitlines()
    assert {*pages, "new-page", *(Path(name).stem for name in site.OF_THE_REPOSITORY)} <= set(listed)
    assert max(listed.count(page) for page in [*pages, "new-page"]) == 1


def test_the_tutorial_is_a_page_with_every_cell(site: ModuleType) -> None:
    page = site.tutorial()
    cells = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
    assert page.count("```") == 2 * sum(cell["cell_type"] == "code" for cell in cells)
    for cell in cells:
        lines = [line.rstrip("\n") for line in cell["source"] if not line.startswith("%%writefile")]
        assert "\n".join(lines) in page
    assert "`mine.toml`:\n\n```toml\ntitle " in page


def test_links_of_docstrings_lead_to_the_pages_of_the_site(site: ModuleType) -> None:
    text = '<a href="ci.md">a</a><a href="suites.md#a-run">b</a><a href="https://a.b/c.md">c</a>'
    expected = '<a href="../ci.html">a</a><a href="../suites.html#a-run">b</a><a href="https://a.b/c.md">c</a>'
    assert site.from_reference(text) == expected


@pytest.mark.slow
def test_one_command_builds_it(site: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("sphinx", "furo", "myst_parser", "pdoc"):
        pytest.importorskip(library)
    monkeypatch.setattr(sys, "argv", ["make_site.py", "--to", str(tmp_path / "site")])
    site.main()  # raises SystemExit for a warning or a fault
    for name in ("index", "gallery", "how-do-i", "tutorial", "api", "README", "reference/bench_core/types"):
        assert (tmp_path / "site" / f"{name}.html").is_file()
    reference = (tmp_path / "site" / "reference" / "bench_core.html").read_text(encoding="utf-8")
    for name in bench_core.__all__:
        assert f'id="{name}"' in reference
