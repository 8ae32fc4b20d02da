"""The paths of a site's pages. A path follows from a label or a digest alone, so links need no index."""

from __future__ import annotations

from dataclasses import dataclass

from ...digests import digest
from ...files import safe_name

ASSETS = "assets"


@dataclass(frozen=True)
class Link:
    """A text, and the page that it links to."""

    text: str
    href: str


@dataclass(frozen=True)
class SiteLinks:
    """What every page of a site needs: the site's title, the relative path to its root, and the parent page."""

    title: str
    root: str
    above: Link | None = None


def slug(label: str) -> str:
    """Return a file name for a label, unique even on file systems that ignore case."""
    plain = safe_name(label).lower()[:60]
    return plain if plain == label else f"{plain}-{digest(label)[:6]}"


def attack_page(attack: str) -> str:
    return f"attacks/{slug(attack)}.html"


def network_page(network: str) -> str:
    return f"networks/{slug(network)}.html"


def board_page(suite: str, profile: str, budget: str) -> str:
    return f"boards/{slug(f'{suite}.{profile}.{budget}')}.html"


def run_place(suite: str, profile: str, folder_digest: str) -> str:
    """Return the path of a run's page without its suffix."""
    return f"runs/{slug(f'{suite}.{profile}')[:80]}.{folder_digest[:10]}"
