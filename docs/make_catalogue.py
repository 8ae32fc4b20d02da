"""Run the suites of the catalogue on the embedded networks and write docs/catalogue.md.

    python docs/make_catalogue.py [--out DIR] [--workers N] [--images N] [--page FILE] [SUITE ...]

The list of attacks is made from their recipes, and the tables from runs. Only the sections of the named suites are made
anew. The sections of other suites, and those that no script writes, stay as they are.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from catalogue_attacks import attack_list, notes
from catalogue_tables import section

from bench_core import load_suite, run
from bench_core.progress import for_stream

HERE = Path(__file__).parent
# The numbers of images of the page.
IMAGES = {
    "transfer_catalogue": 60,
    "transfer_attention": 50,
    "transfer_ensembles": 50,
    "transfer_targeted": 100,
}
BRIDGE = "TransferAttack"  # a section that is written by hand
HEAD = """# The catalogue of transfer attacks

`python docs/make_catalogue.py` writes this page: the list from the attacks' recipes, and every number and rank from
runs on the embedded networks. Only the section *{bridge}* is written by hand.

The embedded networks are small and their images have 28 x 28 pixels. Blocks, cells and patches of attacks that were
made for 224 pixels have few pixels here, and the networks are confident. This page compares the attacks at this scale;
it does not rank them on ImageNet (`bench plan SUITE --profile imagenet`).

**What is compared.** In a section, all attacks have the same images, sources and targets, the same loss
(cross-entropy, unless the attack has another one) and the same budget: eps 16/255 in L-inf. All networks classify the
clean images correctly. Success is the share of images that a target misclassifies after the last step (targeted: that
it takes for the class aimed at). The mean is over black-box targets, which are no source, and includes the networks
that were trained to resist attacks (`-adv`, `-noise`). Attacks have their authors' options, except two rows that are
beside the authors' form: *GNP near* has a smaller radius, and *SMER positive* keeps its weights positive; the notes
on `gnp` and `smer` say why the published forms fail here.

**Two budgets.** A comparison at equal steps favours the attack that computes more. With `usual`, each attack takes 10
steps of eps / 10, whatever a step costs. With `equal`, each attack has the same number of forward and backward passes
and takes as many steps as these allow. Together they are as long as eps, so fewer steps are longer ones. Targeted
attacks have 300 steps of 2/255, as in their papers.

**Ranks and differences.** Differences are in percentage points, are paired by image, and have 95% intervals, which
are not corrected for multiple comparisons. All attacks of one rank tie with the first of them: the interval of the
difference contains zero. So a rank is followed by one that is as many places lower as attacks tie. Below a ranking,
each category is compared with a baseline of its own: *better* and *worse* are the attacks whose interval does not
contain zero. At the same L-inf, an attack that moves more pixels by eps has a larger L2 norm and so an easier task;
attacks whose L2 norm is larger than PGD's by more than 10% are listed. Lines with `W:` are warnings: the attack is no
stronger on its source than noise or PGD, or has not converged. *Undecided* says how many more images would decide a
comparison ([suites.md](suites.md#a-run-that-stops-when-it-is-decided)).

**IR.** On confident networks the gradient of the cross-entropy vanishes, but that of IR's interaction term does not,
and outweighs it. [results.md](results.md) compares IR and its combinations with a loss for which this does not
happen.
"""


def sections_of(page: Path) -> dict[str, str]:
    """Return the sections of a page by title."""
    text = page.read_text() if page.exists() else ""
    found = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="the suites to run; none by default")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--page", type=Path, default=HERE / "catalogue.md")
    parser.add_argument("--images", type=int)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    kept = sections_of(given.page)
    suites = {name: load_suite(name, "embedded") for name in IMAGES}
    made = {"The attacks": attack_list(suites), "Notes on the attacks": notes(suites)}
    for name in given.suites:
        started = time.monotonic()
        result = run(
            suites[name],
            out=given.out, images=given.images or IMAGES[name], workers=given.workers, progress=for_stream(),
        )  # fmt: skip
        made[name] = section(result)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    every = {**kept, **made}
    order = ["The attacks", *IMAGES, *(title for title in every if title not in made and title not in IMAGES)]
    order.append("Notes on the attacks")
    sections = [every[title].rstrip() + "\n" for title in dict.fromkeys(order) if title in every]
    given.page.write_text("\n".join([HEAD.format(bridge=BRIDGE), *sections]))


if __name__ == "__main__":
    main()
