"""`bench init`: writes a suite, a CI job and a first baseline for the user's own network."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .options import BASELINES, RESULTS, Baselines, Device, Out

if TYPE_CHECKING:
    from ..errors import Fault

BARE = re.compile(r"[A-Za-z0-9_-]+")  # a key of TOML that needs no quotation marks
TEMPLATES = Path(__file__).parents[1] / "templates" / "init"
NETWORK_HINT = "(try net.py:build, net.py:build=weights.pth or torchvision:resnet18=weights.pth)"
DATA_HINT = "(try images.npz, a folder with one folder for each class, or embedded)"
EPS = "8/255"
LONGEST_NAME = 100


def init(
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NETWORK",
            help="FILE.py:FUNCTION, which returns the network, or LIBRARY:ARCHITECTURE; then =WEIGHTS, a file.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="An .npz file of images and labels, a folder of class folders, or embedded."),
    ] = None,
    eps: Annotated[
        str | None, typer.Option(metavar="EPS", help=f"The size of the L-inf ball for images in [0, 1], e.g. {EPS}.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, metavar="N", help="The number of images to attack.")] = 200,
    name: Annotated[str, typer.Option(metavar="NAME", help="The name of the suite.")] = "robust",
    ci: Annotated[
        Literal["github", "gitlab", "none"], typer.Option(help="The CI service for which a job is written.")
    ] = "github",
    network_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of the network, e.g. classes=10.")
    ] = None,
    data_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help='An option of the images, e.g. layout="nhwc".')
    ] = None,
    out: Out = RESULTS,
    baselines: Baselines = BASELINES,
    device: Device = "auto",
) -> None:
    """Set up the regression gate for your own network.

    Writes a suite that attacks the network, a CI job, and the baseline of a first run. What no option answers is asked
    if this is a terminal. Run it in the folder of your repository.
    """
    from ..errors import Fault, UsageError, one_line

    network, data, eps = answers(network, data, eps)
    model = {**network_entry(network), **options(network_option, "--network-option")}
    images_from = {**data_entry(data), **options(data_option, "--data-option")}
    if not name.isascii() or not name.replace("-", "_").isidentifier() or len(name) > LONGEST_NAME:
        found = f'found "{name[:LONGEST_NAME]}" (try letters, digits and -, say robust)'
        raise UsageError(Fault("bench init", "--name", found))
    suite, baseline = Path(f"{name}.toml"), baselines / f"{name}.ci.json"
    texts = {
        suite: rendered(
            "suite.toml.j2", name=name, model=toml(model), data=toml(images_from), images=images,
            eps=json.dumps(eps), step=json.dumps(f"({eps})/4"),
        ),
        **ci_files(ci, name),
    }  # fmt: skip
    if existing := [path for path in (*texts, baseline) if path.exists()]:
        raise UsageError(*(Fault(str(path), "", "already exists (try another --name)") for path in existing))
    was_there = out.exists()
    write(suite, texts[suite])
    try:
        first_baseline(suite, baseline, out, device)
    except UsageError as error:
        suite.unlink()
        if not was_there:
            shutil.rmtree(out, ignore_errors=True)
        raise UsageError(*map(with_options, error.faults)) from None
    except BaseException:
        suite.unlink()  # with a mistake in an answer, nothing is left
        raise
    for path, text in texts.items():
        if path != suite:
            write(path, text)
    written = [*texts, baseline]
    print("\n".join(one_line(str(path)) for path in written))
    print(f"bench: commit these files, and the network and images that {suite} names", file=sys.stderr)


def answers(network: str | None, data: str | None, eps: str | None) -> tuple[str, str, str]:
    """Return the three answers, asking for those that are missing if this is a terminal.

    Raises:
        typer.Exit: Ctrl-C or the end of input at a question, when nothing is stored that a second call could continue.
        UsageError: An answer is missing and nobody can be asked.
    """
    from ..errors import INTERRUPTED, Fault, UsageError

    if sys.stdin.isatty():
        try:
            network = network or typer.prompt(f"Your network {NETWORK_HINT}")
            data = data or typer.prompt(f"Your images {DATA_HINT}")
            eps = eps or typer.prompt("How far may an attack change a pixel, in [0, 1]?", default=EPS)
        except (typer.Abort, KeyboardInterrupt):
            print("\nbench: interrupted; nothing was written", file=sys.stderr)  # below the line of the question
            raise typer.Exit(INTERRUPTED) from None
    missing = [
        Fault("bench init", option, f"is missing {hint}")
        for option, value, hint in (("--network", network, NETWORK_HINT), ("--data", data, DATA_HINT))
        if not value
    ]
    if network is None or data is None or missing:
        raise UsageError(*missing)
    return network, data, eps or EPS


def network_entry(network: str) -> dict[str, Any]:
    """Return the recipe of a network and its options. Raises UsageError for another form."""
    from ..errors import Fault, UsageError

    built_by, _, weights = network.partition("=")
    if ".py:" in built_by:
        return {"recipe": "python", "file": built_by, **({"weights": weights} if weights else {})}
    if ":" not in built_by or not weights:
        raise UsageError(Fault("bench init", "--network", f'found "{network}" {NETWORK_HINT}'))
    return {"recipe": "checkpoint", "architecture": built_by, "file": weights}


def data_entry(data: str) -> dict[str, Any]:
    """Return the kind of a dataset and its options. Raises UsageError for another form."""
    from ..errors import Fault, UsageError

    if data == "embedded":
        return {"kind": "embedded"}
    path = Path(data).expanduser()
    if path.is_dir() or path.suffix == ".npz":
        return {"kind": "imagefolder" if path.is_dir() else "npz", "root": data}
    raise UsageError(Fault("bench init", "--data", f'found "{data}" {DATA_HINT}'))


def options(given: Sequence[str] | None, option: str) -> dict[str, Any]:
    """Return options of a recipe; each value is TOML or, failing that, plain text."""
    from ..suite.merge import read_override

    found: dict[str, Any] = {}
    for text in given or []:
        found |= read_override(text, option)
    return found


def with_options(fault: Fault) -> Fault:
    """Return a fault of the suite, with the option of `bench init` in place of the key that its hint names."""
    option = {"data": "--data-option", "models": "--network-option"}.get(fault.key.partition(".")[0])
    if option is None:
        return fault
    hint = re.sub(r'\(try (\w+) = "?([\w.]+)"?\)', rf"(try {option} \1=\2)", fault.message)
    return replace(fault, message=hint)


def toml(value: Any) -> str:
    """Return a value as TOML in one line: an inline table, a list, a text, a number, a boolean or a date."""
    if isinstance(value, Mapping):
        entries = ", ".join(
            f"{key if BARE.fullmatch(key) else toml(key)} = {toml(item)}" for key, item in value.items()
        )
        return f"{{ {entries} }}" if entries else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool | float) else str(value)


def ci_files(ci: str, name: str) -> dict[Path, str]:
    """Return the files of the CI job: the job, and a copy of bench's action or template, which it uses."""
    if ci == "none":
        return {}
    shared = shipped("action.yml" if ci == "github" else "ci/gitlab.yml").read_text(encoding="utf-8")
    job = rendered(f"{ci}.yml.j2", name=name)
    if ci == "github":
        return {Path(f".github/workflows/{name}.yml"): job, Path(".github/actions/bench/action.yml"): shared}
    return {Path(f".gitlab/{name}.yml"): job, Path(".gitlab/bench.yml"): shared}


def shipped(file: str) -> Path:
    """Return the path of the action or the template: in the installed package, or in the checkout."""
    package = Path(__file__).parents[1]
    installed = package / "ci" / Path(file).name
    return installed if installed.is_file() else package.parent / file


def rendered(template: str, **names: object) -> str:
    """Return a template with its names filled in."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        autoescape=False,  # TOML and YAML; the name is an identifier, and the rest is written as JSON
    )  # fmt: skip
    return environment.get_template(template).render(names)


def write(path: Path, text: str) -> None:
    from ..store import write_atomically

    write_atomically(path, text.encode())


def first_baseline(suite: Path, baseline: Path, out: Path, device: str) -> None:
    """Run a suite, print its first table, and save its outcomes as a baseline."""
    from ..gate.baselines import save_baseline
    from ..gate.snapshot import snapshot_of_run
    from ..planning.recipe_faults import recipe_faults
    from ..registry import discover
    from ..run_suite import run
    from ..suite.load import load_suite
    from .live import run_view
    from .output import print_run, printer

    registry, view = discover(), run_view()
    loaded = load_suite(str(suite), None, [], recipe_faults(registry))
    result = run(loaded, out=out, device=device, registry=registry, progress=view, on_round=view.on_round)
    print_run(result, printer("terminal", registry), "terminal", registry)
    save_baseline(snapshot_of_run(result.folder, registry), baseline, ["first"])
