"""Names what differs between a run and this machine: networks, images, code, and the setup."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..digests import digest
from ..planning.resolve import ResolvedSuite
from ..runs.record import RunRecord
from .claims import setup_of

SHOWN = 12  # digits of a digest


@dataclass(frozen=True)
class Differences:
    """What differs, each in one line.

    Attributes:
        inputs: Weights and images: with other ones there is nothing to compare.
        code: The code that computes results: equal setups may then give other results.
        setup: Libraries, device and processor: results may differ in their last bits, and so in some outcomes.
    """

    inputs: tuple[str, ...]
    code: tuple[str, ...]
    setup: tuple[str, ...]


def differences(record: RunRecord, resolved: ResolvedSuite) -> Differences:
    """Compare the digests of a run with those of this machine."""
    code = [*_network_code(record, resolved), *_code(record, resolved)]
    return Differences(
        (*_images(record, resolved), *_weights(record, resolved)), tuple(code), tuple(_setup(record, resolved))
    )


def _images(record: RunRecord, resolved: ResolvedSuite) -> Iterator[str]:
    images, chosen = resolved.images, record.images
    assert images is not None
    ids = list(images.ids)
    if (found := digest(ids)) != record.dataset.digest:
        yield f"images: the dataset here is {found[:SHOWN]}, that of the run {record.dataset.digest[:SHOWN]}"
        return
    wrong = [index for index, name in zip(chosen.indices, chosen.ids, strict=True) if ids[index] != name]
    if wrong:
        yield f"images: {len(wrong)} have other digests, the first is number {wrong[0]}"
    other = [i for i, label in zip(chosen.indices, record.truth, strict=True) if images.labels[i] != label]
    if other:
        yield f"images: {len(other)} have other classes, the first is number {other[0]}"


def _weights(record: RunRecord, resolved: ResolvedSuite) -> Iterator[str]:
    for label, spec in resolved.models.items():
        here, run = spec.description, record.models.get(label)
        if not isinstance(run, dict):
            yield f"network {label}: the run does not say what it is"
            continue
        if _plain(run.get("identity")) != _plain(here["identity"]):
            yield f"network {label}: other weights"
        elif run.get("recipe") != here["recipe"] or _plain(run.get("options")) != _plain(here["options"]):
            yield f"network {label}: other options"


def _network_code(record: RunRecord, resolved: ResolvedSuite) -> Iterator[str]:
    for label, spec in resolved.models.items():
        run = record.models.get(label)
        if not isinstance(run, dict):
            continue
        here, there = spec.description["identity"], run.get("identity")
        files = here != there and _plain(here) == _plain(there)  # only the code in a file of the user's is another
        if run.get("code") != spec.code or files:
            yield f"network {label}: other code"


def _plain(options: object) -> object:
    """Return a network's identity or options without the code in them, which is compared by itself."""
    if isinstance(options, dict):
        return {key: _plain(value) for key, value in options.items() if key != "code"}
    return [_plain(value) for value in options] if isinstance(options, list | tuple) else options


def _code(record: RunRecord, resolved: ResolvedSuite) -> Iterator[str]:
    if record.host != resolved.host:
        yield f"bench's code: here {resolved.host[:SHOWN]}, that of the run {record.host[:SHOWN]}"
    suite, registry = resolved.suite, resolved.registry
    used = [("metrics", entry.recipe) for entry in suite.metrics.values()]
    for attack in suite.attacks.values():
        used += [("attacks", name) for name in (attack.parts or [attack.recipe or ""])]
    known = dict(line.rsplit(" ", 3)[::3] for line in record.plugins if line.count(" ") >= 3)
    for origin in {
        registry.offers[key].origin.plugin: registry.offers[key].origin for key in used if key in registry.offers
    }.values():
        if known.get(origin.plugin) != origin.source:
            yield f"plugin {origin.plugin} ({origin.package} {origin.version}): other code"


def _setup(record: RunRecord, resolved: ResolvedSuite) -> Iterator[str]:
    for name, here in setup_of(resolved).items():
        run = record.environment.get(name)
        if run != here:
            yield f"{name}: here {here}, that of the run {run}"
