"""Computes one job: one micro-batch, one source and attack, and all that is observed on it. Knows no suite."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import ContractError, Fault, UsageError
from ..planning.planner import PREDICTED, SANITY
from ..registry import Offer, Registry
from ..store import pack
from ..types import Attack, Budget, Examples, Images, Json, Metric, Precision, Rejection, Step
from .contracts import check_examples, check_images, check_logits, guarded, perturbation_size
from .data_mean import average_digest, average_image
from .diagnostics import Witness, examine
from .instrument import Passes, Remembering
from .precision import InBfloat16
from .rng_state import own_draws
from .streams import ImageStreams

MODELS_KEPT = 24
MEMORY_FOR_MODELS = 0.5  # of a GPU's; the rest is for batches


class Worker:
    """Builds what jobs name and keeps it warm; `compute` gives a job's bundle for the store."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.models: OrderedDict[str, nn.Module] = OrderedDict()
        self.data: dict[str, Images] = {}
        self.averages: dict[str, Tensor] = {}

    def compute(self, spec: Json, wanted: list[str]) -> bytes:
        """Compute the wanted cells of a job. Raises ContractError where a plugin broke its contract."""
        torch.set_num_threads(spec["environment"]["threads"])
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.use_deterministic_algorithms(True, warn_only=True)
        # a guard against bugs, which writes every tensor twice
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        examples = self._examples(spec)
        run = self._attacked if spec["attack"] else self._clean
        try:
            networks = [self._model(spec, name) for name in spec["models"]]
            seed = spec["seed"] + int(examples.ids[0][:12], 16)
            with torch.no_grad(), own_draws(networks, examples.images[:1], seed):
                return pack(run(spec, examples, wanted))
        except BaseException:
            self.models.clear()  # whatever failed may have left a network changed: the next job gets fresh ones
            raise

    # The two kinds of jobs

    def _clean(self, spec: Json, examples: Examples, wanted: list[str]) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        remembered = {name: Remembering(self._model(spec, name)) for name in spec["models"]}
        for each in spec["observe"]:
            if each["key"] not in wanted:
                continue
            target = remembered[each["target"]]
            if each["metric"]["recipe"] == PREDICTED:
                logits = target(examples.images)
                check_logits(logits, examples.labels, each["target"], getattr(self._images(spec), "class_count", None))
                rows: Mapping[str, Tensor] = {"predicted": logits.argmax(1)}
            elif each["metric"]["recipe"] == SANITY:
                rows = examine(self._model(spec, each["target"]), examples)
            else:
                rng, average = ImageStreams(spec["seed"], examples.ids), self._average(spec, each["metric"])
                observer = Observer(self._metric(each["metric"]))
                rows = observer.see(clean=examples, target=target, rng=rng, data_mean=average)
            arrays |= {f"{each['key']}/{name}": array for name, array in checked_rows(rows, len(examples.ids)).items()}
        return arrays

    def _attacked(self, spec: Json, examples: Examples, wanted: list[str]) -> dict[str, NDArray[Any]]:
        source, budget = self._source(spec, "float32"), Budget(**spec["budget"])
        rng = ImageStreams(spec["seed"], examples.ids)
        examples = aim(examples, source, rng) if budget.targeted else replace(examples, targets=None)
        attack = self._attack(spec, budget)
        attacked = self._source(spec, spec["environment"]["dtype"])
        rejection = Rejection.of(getattr(attack, "check_source", lambda _model: None)(attacked))
        if rejection:
            where = f"source {'+'.join(spec['source']['members'])}"
            raise UsageError(Fault(where, "+".join(spec["attack"]["names"]), str(rejection)))
        if spec.get("look"):
            return {}
        targets = {
            each["target"]: Remembering(self._model(spec, each["target"])) for each in spec["observe"] if each["target"]
        }
        observed = [
            (
                each["key"],
                Observer(self._metric(each["metric"])),
                {
                    "source": source,
                    "target": targets.get(each["target"]),
                    "data_mean": self._average(spec, each["metric"]),
                },
            )
            for each in spec["observe"]
            if each["key"] in wanted
        ]
        stepwise: dict[str, list[Mapping[str, NDArray[Any]]]] = {}
        arrays: dict[str, NDArray[Any]] = {}
        passes, images, count = Passes(attacked), None, len(examples.ids)
        witness = Witness(source, examples, budget, rng)
        for index, images in enumerate(
            steps(attack, attacked, examples, rng, passes, getattr(attack, "global_seed", None)), 1
        ):
            check_images(examples.images, images, budget, spec["quantise"])
            witness.step(index, images)
            for key, observer, models in observed:
                if observer.stepwise:
                    rows = observer.see(clean=examples, step=Step(index, images), rng=rng, **models)
                    stepwise.setdefault(key, []).append(checked_rows(rows, count))
        if images is None:
            raise ContractError("the attack gave no images")
        for key, several in stepwise.items():
            arrays |= {f"{key}/{name}": np.stack([rows[name] for rows in several], axis=1) for name in several[0]}
        for key, observer, models in observed:
            if not observer.stepwise:
                rows = observer.see(clean=examples, adversarial=images, rng=rng, **models)
                arrays |= {f"{key}/{name}": array for name, array in checked_rows(rows, count).items()}
        record = {**passes.returned, **witness.rows(images)} | {
            "linf": perturbation_size(images - examples.images, "linf"),
            "l2": perturbation_size(images - examples.images, "l2"),
            "forwards": torch.full((count,), passes.forwards / count),
            "backwards": torch.full((count,), passes.backwards / count),
        }
        return arrays | {f"attack/{name}": array for name, array in checked_rows(record, count).items()}

    # Building what a job names

    def _images(self, spec: Json) -> Images:
        key = repr(spec["data"])
        if key not in self.data:
            offer = self.registry.find("datasets", spec["data"]["recipe"], "data", "kind")
            self.data[key] = offer.build(**spec["data"]["options"])
        return self.data[key]

    def _average(self, spec: Json, metric: Json) -> Tensor | None:
        """Give the average image where a metric wants it, computed once."""
        wanted = metric.get("data_mean")
        if wanted is None:
            return None
        if wanted not in self.averages:
            data = self._images(spec)
            if average_digest(data) != wanted:
                raise UsageError(Fault("data", "ids", "the images here are not those of the plan"))
            self.averages[wanted] = torch.from_numpy(average_image(data)).to(spec["environment"]["device"])
        return self.averages[wanted]

    def _examples(self, spec: Json) -> Examples:
        data = self._images(spec)
        ids = tuple(data.ids[i] for i in spec["indices"])
        if list(ids) != spec["ids"]:
            raise UsageError(Fault("data", "ids", "the images here are not those of the plan"))
        device = spec["environment"]["device"]
        images = torch.from_numpy(data.load(spec["indices"])).to(device)
        labels = torch.tensor(spec["labels"], device=device)
        targets = None if spec["targets"] is None else torch.tensor(spec["targets"], device=device)
        check_examples(images, labels, data.shape)
        return Examples(images, labels, ids, targets)

    def _model(self, spec: Json, label: str) -> nn.Module:
        return self._built(spec["models"][label], spec["environment"]["device"])

    def _built(self, chosen: Json, device: str) -> nn.Module:
        key = repr((chosen["recipe"], chosen["options"], chosen["identity"]))
        if key in self.models:
            self.models.move_to_end(key)
            return self.models[key]
        offer = self._offer("models", chosen["recipe"], chosen["code"])
        parts = {name: self._all_built(chosen["options"][name], device) for name in offer.made_of}
        with torch.random.fork_rng(devices=[]):  # layers draw initial weights, which the loaded ones replace
            model: nn.Module = offer.build(**chosen["options"] | parts)
        model = model.to(device).eval().requires_grad_(False)
        self.models[key] = model
        self._make_room(device)
        return model

    def _all_built(self, chosen: Any, device: str) -> Any:
        if isinstance(chosen, list):
            return [self._built(each, device) for each in chosen]
        return self._built(chosen, device)

    def _make_room(self, device: str) -> None:
        """Let go of the networks that were not asked for longest; a later job builds them again."""
        while len(self.models) > MODELS_KEPT or (len(self.models) > 1 and self._crowded(device)):
            self.models.popitem(last=False)

    def _crowded(self, device: str) -> bool:
        """Whether networks hold more of a GPU's memory than is theirs; a CPU's does not limit how many are kept."""
        if not device.startswith("cuda"):
            return False
        room = MEMORY_FOR_MODELS * memory(device)
        return sum(map(size, self.models.values())) > room

    def _source(self, spec: Json, precision: Precision) -> nn.Module:
        names = spec["source"]["members"]
        parts = [self._model(spec, name) for name in names]
        if precision == "bfloat16":
            parts = [InBfloat16(part).eval() for part in parts]
        if len(parts) == 1:
            return parts[0]
        offer = self.registry.find("models", "ensemble", "models", "ensemble")
        ensemble: nn.Module = offer.build(members=parts, combine=spec["source"]["combine"])
        return ensemble.eval()

    def _attack(self, spec: Json, budget: Budget) -> Attack:
        names, chosen = spec["attack"]["names"], spec["attack"]
        offer = (
            self.registry.compose(names, "attack", "parts")
            if chosen["joined"]
            else self._offer("attacks", names[0], chosen["code"])
        )
        attack: Attack = offer.build(budget, **chosen["options"])
        return attack

    def _metric(self, chosen: Json) -> Metric:
        metric: Metric = self._offer("metrics", chosen["recipe"], chosen["code"]).build(**chosen["options"])
        return metric

    def _offer(self, kind: str, name: str, code: str) -> Offer:
        offer = self.registry.find(kind, name, "worker", kind)
        if offer.code != code:
            raise UsageError(Fault("worker", f"{kind}.{name}", "the plugin here has other code than the plan's"))
        return offer


def memory(device: str) -> int:
    """Give the bytes of a GPU's memory."""
    total: int = torch.cuda.get_device_properties(device).total_memory
    return total


def size(network: nn.Module) -> int:
    return sum(each.numel() * each.element_size() for each in (*network.parameters(), *network.buffers()))


class Observer:
    """Calls a metric's `observe` with what its parameters ask for."""

    def __init__(self, metric: Metric) -> None:
        self.observe: Callable[..., Mapping[str, Tensor]] = metric.observe
        self.needs = tuple(inspect.signature(metric.observe).parameters)
        self.stepwise = "step" in self.needs

    def see(self, **given: Any) -> Mapping[str, Tensor]:
        with torch.no_grad():  # whatever mode an attack that holds one open has left
            return self.observe(**{name: given[name] for name in self.needs})


def checked_rows(rows: Mapping[str, Tensor], count: int) -> dict[str, NDArray[Any]]:
    """Turn a metric's rows into arrays. Raises ContractError where one has not a row for each image."""
    arrays = {}
    for name, row in rows.items():
        if row.ndim == 0 or len(row) != count:
            raise ContractError(f'the metric\'s rows "{name}" have shape {tuple(row.shape)}, not {count} rows')
        plain = row.detach().cpu()
        small = plain.dtype == torch.int64 and plain.numel() and plain.min() >= 0 and plain.max() < 2**15
        arrays[name] = (plain.to(torch.int16) if small else plain).numpy().copy()
    return arrays


def aim(examples: Examples, source: nn.Module, rng: ImageStreams) -> Examples:
    """Give every image its dataset's class to be aimed at, or a random wrong one, its own whoever is beside it."""
    if examples.targets is not None:
        return examples
    classes = source(examples.images[:1]).shape[-1]
    offset = 1 + (rng.uniform("target class", 0, ()) * (classes - 1)).long().to(examples.labels)
    return Examples(examples.images, examples.labels, examples.ids, (examples.labels + offset) % classes)


def steps(
    attack: Attack, source: nn.Module, examples: Examples, rng: ImageStreams, passes: Passes, global_seed: Any
) -> Iterator[Tensor]:
    """Run an attack under the host's eyes: passes counted, inputs, model and process checked after."""
    kept = examples.images.clone(), examples.labels.clone()
    seed = int(examples.ids[0][:12], 16) + rng.seed if global_seed else None
    with guarded(source, seed):
        produced = attack(source, examples, rng)
        try:
            while True:
                with passes.counting(), torch.enable_grad():
                    try:
                        images = next(produced)
                    except StopIteration as end:
                        passes.returned = end.value or {}
                        break
                if images is None:
                    break
                yield images.detach() if isinstance(images, Tensor) else images
        finally:
            close = getattr(produced, "close", None)
            if close:
                close()
        if not (torch.equal(kept[0], examples.images) and torch.equal(kept[1], examples.labels)):
            raise ContractError("the attack changed its input images or labels in place")
