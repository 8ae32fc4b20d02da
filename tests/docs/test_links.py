"""Links in the documents and templates lead to files and headings of this repository; none leads to a package index."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
TEMPLATES = sorted((ROOT / "bench_core" / "templates").rglob("*.j2"))
LINK = re.compile(r"\]\(([^)\s]+)\)|\b(?:href|src)=\"([^\"]+)\"")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", flags=re.MULTILINE | re.DOTALL)
TEXTS = [*PAGES, *TEMPLATES, ROOT / "pyproject.toml"]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def links(text: str) -> list[str]:
    return [first or second for first, second in LINK.findall(CODE.sub("", text))]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: those that GitHub makes of its headings, and explicit ones."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    made = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", [*PAGES, *TEMPLATES], ids=name)
def test_relative_links_lead_to_files_and_headings_of_the_repository(page: Path) -> None:
    for link in links(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        assert page not in TEMPLATES, f"{link}: a package of a plugin has no pages of bench"
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.resolve().is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_addresses_on_the_web_are_those_of_papers_and_code(page: Path) -> None:
    found = re.findall(r"https?://([^/\s)>\"'`]+)", page.read_text())
    assert set(found) <= {"arxiv.org", "github.com"}


def test_links_are_found() -> None:
    assert "docs/suites.md" in links((ROOT / "README.md").read_text())
    assert links("`[a](b)` [c](d#e)\n```\n[f](g)\n```\n") == ["d#e"]
