"""Computes one job: a batch of images, attacked or clean, and all metrics that observe it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from ..batches import batched_forward
from ..errors import ContractError, Fault, NetworkFault, UsageError
from ..planning.jobs import AttackJob, CleanJob, GivenJob, Job, SourceCheck, job_from_json
from ..planning.specs import MetricSpec
from ..registry import Registry
from ..reserved import EXAMINED, KEPT, MISTAKEN, PREDICTED, RECORD
from ..store import pack
from ..types import Attack, Examples, Json, Memory, Rejection, Step
from .attack_run import AttackRun, batch_seed, with_targets
from .build import Builder
from .checked_images import check_levels, checked_images
from .checks import Checks
from .contracts import check_images, check_logits, check_targets
from .diagnostics import AttackDiagnostics, NoiseLogits, examine
from .guard import is_steady, own_changes, set_deterministic
from .instrument import CachedForward, PassCounter
from .kept import KeptImages
from .known_logits import KnownLogits
from .loading import Loader
from .memory import within
from .mistakes import predictions_if_changed
from .observer import Observer
from .pass_limit import PassLimit
from .projection import moved_inside
from .queried import QueriedRun
from .record import record_of, sizes_of
from .resume import Checkpoint, StateFile
from .rng_state import is_randomised, separate_streams
from .rows import Arrays, checked_rows
from .streams import ImageStreams
from .watch import Watches, watched
from .weights import weights_kept

Report = Callable[[float], None]


class Worker:
    """Computes jobs. Networks and datasets are kept for later jobs."""

    def __init__(self, registry: Registry) -> None:
        self.builder, self.loader, self.known = Builder(registry), Loader(registry), KnownLogits()

    def compute(
        self, spec: Json, wanted: list[str], report: Report = lambda _share: None, state_file: str | None = None,
        memory: int | None = None,
    ) -> bytes:  # fmt: skip
        """Compute some cells of a job.

        Args:
            spec: The job, as its `to_json` returns it.
            wanted: The keys of the cells.
            report: Called with the share of the job in [0, 1] that is done: after each step or clean metric.
            state_file: Where the state of a long job is kept, and read if there is one; None to keep none.
            memory: The bytes that this process may take; None for no limit.

        Returns:
            The arrays of the cells, packed for the store; none for a check of a source.

        Raises:
            ContractError: if a plugin broke its contract; NetworkFault if a network did.
            UsageError: if the user made a mistake that only a worker finds, such as a source that the attack rejects.
        """
        parsed = job_from_json(spec)
        job = parsed.job if isinstance(parsed, SourceCheck) else parsed
        device = job.environment.device
        try:
            _configure_torch(job.environment.threads)
            examples = self.loader.examples(job.batch, device)
            needed = labels_needed(job, wanted)
            named = self.builder.named({label: job.models[label] for label in needed}, device)
            whole, image = [each.network for each in named if not each.part], examples.images[:1]
            self.builder.make_room(named, memory)
            with (
                within(memory, named, getattr(job, "members", ()), examples.images),
                torch.no_grad(),
                watched(named) as watches,
                separate_streams(whole, image, batch_seed(examples, job.seed)),
            ):
                changing = [network for network in whole if own_changes(network, image)]
                with weights_kept(each for each in named if not each.part and each.network not in changing):
                    steady = not changing and not any(is_randomised(network, image) for network in whole)
                    file = StateFile(Path(state_file), job.address(), wanted) if state_file and steady else None
                    arrays = self._compute(parsed, examples, frozenset(wanted), watches, report, file)
            if changing:
                self.builder.clear()  # so that the next job starts from the same network
            self.builder.evict(device)
            return pack(arrays)
        except BaseException as error:
            self.builder.clear()  # the failure may have left a network changed
            if isinstance(error, NetworkFault) and error.form and isinstance(parsed, CleanJob):
                raise UsageError(Fault(f"models.{error.network}", "", error.fault)) from error
            raise

    def _compute(
        self, job: Job | SourceCheck, examples: Examples, wanted: frozenset[str], watches: Watches, report: Report,
        file: StateFile | None,
    ) -> Arrays:  # fmt: skip
        match job:
            case CleanJob():
                return self._clean(job, examples, wanted, watches, report)
            case AttackJob():
                return self._attack(job, examples, wanted, watches, report, file)
            case GivenJob():
                return self._given(job, examples, wanted)
            case SourceCheck(job=checked):
                source = self.builder.source(checked, checked.environment.dtype)
                self._accepted_attack(checked, source, examples)
        return {}

    def _clean(
        self, job: CleanJob, examples: Examples, wanted: frozenset[str], watches: Watches, report: Report
    ) -> Arrays:
        networks = {
            label: self.builder.model(job.models[label], job.environment.device) for label in labels_needed(job, wanted)
        }
        cached = {label: CachedForward(network) for label, network in networks.items()}
        arrays: Arrays = {}
        observed = [observation for observation in job.observe if observation.key in wanted]
        observed.sort(key=lambda item: item.metric.recipe != PREDICTED)
        for index, observation in enumerate(observed, 1):
            assert observation.target is not None
            target = cached[observation.target]
            if observation.metric.recipe == PREDICTED:
                logits = target(examples.images)
                classes = getattr(self.loader.dataset(job.batch.data), "class_count", None)
                check_logits(logits, examples.labels, observation.target, classes, job.batch.data.options)
                check_targets(examples.targets, job.batch.indices, logits.shape[1], observation.target)
                rows = checked_rows({"predicted": logits.argmax(1), "label": examples.labels}, len(examples.ids))
                arrays |= _named(observation.key, rows)
            elif observation.metric.recipe == EXAMINED:
                rows = checked_rows(examine(networks[observation.target], examples), len(examples.ids))
                watches.forget(networks[observation.target])  # what was found is in the rows
                arrays |= _named(observation.key, rows)
            elif observation.metric.recipe == MISTAKEN:
                network = networks[observation.target]
                rows = checked_rows(predictions_if_changed(network, examples.images), len(examples.ids))
                watches.forget(network)  # it may answer with NaN outside [0, 1]
                arrays |= _named(observation.key, rows)
            else:
                observer = self._observer(job, observation.key, observation.metric, examples, target=target)
                observer.images(examples)
                arrays |= observer.arrays()
            report(index / len(observed))
        return arrays

    def _attack(
        self, job: AttackJob, examples: Examples, wanted: frozenset[str], watches: Watches, report: Report,
        file: StateFile | None,
    ) -> Arrays:  # fmt: skip
        source, budget = self.builder.source(job, "float32"), job.budget  # float32 for targets and diagnostics
        if job.quantise:
            check_levels(job, examples.images)
        rng = ImageStreams(job.seed, examples.ids)
        examples = with_targets(examples, source, rng) if budget.targeted else replace(examples, targets=None)
        if budget.targeted and job.batch.targets is not None:
            outputs = source(examples.images[:1]).shape[-1]
            check_targets(examples.targets, job.batch.indices, outputs, f"source {'+'.join(job.members)}")
        limited = budget.queries is not None
        attacked = source if limited else self.builder.source(job, job.environment.dtype)
        attack = self._accepted_attack(job, attacked, examples)
        device = job.environment.device
        targets = self._targets(job, examples, wanted)
        counted = [network for name in job.members for network in self.builder.counted(job.models[name], device)]
        searches = getattr(attack, "all_or_nothing", False)
        limit = None if job.passes is None else PassLimit(job.passes, examples, budget, searches)
        passes = PassCounter(*counted, limit=limit)
        checks = Checks(device, (watches.settle, passes.check_losses))
        observers = [
            KeptImages(item.key, item.metric.options["step"], job.quantise)
            if item.metric.recipe == KEPT
            else self._observer(
                job, item.key, item.metric, examples, checks, source=source, target=targets.get(item.target or "")
            )
            for item in job.observe
            if item.key in wanted
        ]
        pool = getattr(attack, "donors", 0)
        donors = self.loader.donors(job.batch.data, pool, job.attack.donors, device) if pool else None
        steady = getattr(attack, "resumable", False) and not getattr(attack, "global_seed", False) and not limited
        memory = Memory() if steady else None
        run = AttackRun(attack, attacked, examples, rng, passes, donors, memory=memory, limit=limit)
        diagnostics = self._diagnostics(job, source, examples, rng, targets.values())
        checkpoint = Checkpoint(file, run, diagnostics, observers)
        done, images = checkpoint.restore()
        queried = QueriedRun(run, budget, report) if limited else None
        arrays: Arrays = {}
        with checks:
            for index, produced in enumerate((queried or run).steps(), done + 1):
                images = checked_images(job, examples.images, produced, checks)
                diagnostics.step(index, images)
                for observer in observers:
                    observer.step(Step(index, images), examples)
                report(min(1.0, index / budget.steps))
                checkpoint.step(index, images)
            if images is None:
                raise ContractError("the attack returned no images")
            counted_queries = queried.queries if queried else None
            for observer in observers:
                observer.end(images, examples, counted_queries)
            for observer in observers:
                arrays |= observer.arrays()
            record = record_of(run, diagnostics, images, counted_queries)
        return arrays | _named(RECORD, checked_rows(record, len(examples.ids)))

    def _targets(self, job: Job, examples: Examples, wanted: frozenset[str]) -> dict[str, CachedForward]:
        """Return the networks that metrics observe, which classify the clean images once for all attacks on them."""
        image, targets = examples.images[:1], {}
        for label in labels_needed(job, wanted):
            network = self.builder.model(job.models[label], job.environment.device)
            compute = partial(batched_forward, network, examples.images)
            known = partial(self.known.get, network, ("clean", examples.ids), compute)
            targets[label] = CachedForward(network, examples.images, known if is_steady(network, image) else None)
        return targets

    def _diagnostics(
        self, job: AttackJob, source: torch.nn.Module, examples: Examples, rng: ImageStreams,
        targets: Iterable[CachedForward],
    ) -> AttackDiagnostics:  # fmt: skip
        """Return diagnostics that compute no logits again that a metric or another attack needs too."""
        if len(job.members) == 1 and is_steady(source, examples.images[:1]):  # an ensemble is new in each job
            observed = next((target for target in targets if target.network is source), None)
            return AttackDiagnostics(source, examples, job.budget, rng, observed, NoiseLogits(self.known))
        return AttackDiagnostics(source, examples, job.budget, rng)

    def _given(self, job: GivenJob, examples: Examples, wanted: frozenset[str]) -> Arrays:
        """Observe images that were made elsewhere, as if they were those of an attack of one step."""
        device = job.environment.device
        images = self.loader.given(job.given, examples.images.shape[1:], device)
        if job.given.rounded:
            images = moved_inside(examples.images, images, job.budget)
        check_images(examples.images, images, job.budget)
        examples = examples if job.budget.targeted else replace(examples, targets=None)
        arrays: Arrays = {}
        targets = self._targets(job, examples, wanted)
        for item in job.observe:
            if item.key in wanted:
                target = targets.get(item.target or "")
                observer = self._observer(job, item.key, item.metric, examples, target=target)
                observer.step(Step(1, images), examples)
                observer.end(images, examples)
                arrays |= observer.arrays()
        record = {**sizes_of(images - examples.images), "given": torch.ones(len(images), dtype=torch.bool)}
        return arrays | _named(RECORD, checked_rows(record, len(images)))

    def _accepted_attack(self, job: AttackJob, source: torch.nn.Module, examples: Examples) -> Attack:
        """Build an attack. Raises UsageError if it rejects the source."""
        attack = self.builder.attack(job.attack, job.budget)
        rejection = rejected_source(attack, source, examples)
        if rejection:
            raise UsageError(Fault(f"source {'+'.join(job.members)}", "+".join(job.attack.names), str(rejection)))
        return attack

    def _observer(
        self, job: Job, key: str, spec: MetricSpec, examples: Examples, checks: Checks | None = None,
        **networks: torch.nn.Module | None,
    ) -> Observer:  # fmt: skip
        device = job.environment.device
        mean = None if spec.data_mean is None else self.loader.data_mean(job.batch.data, spec.data_mean, device)
        rng = ImageStreams(job.seed, examples.ids)
        return Observer(key, self.builder.metric(spec), checks, rng=rng, data_mean=mean, **networks)


def rejected_source(attack: Attack, source: torch.nn.Module, examples: Examples) -> Rejection | None:
    """Return why an attack rejects a network, or None if it accepts it."""
    reason = getattr(attack, "check_source", lambda _model: None)(source)
    check_classes = getattr(attack, "check_classes", None)
    if check_classes and not reason:
        with torch.no_grad():
            reason = check_classes(source(examples.images[:1]).shape[-1])
    return Rejection.of(reason)


def labels_needed(job: Job, wanted: Collection[str]) -> list[str]:
    """Return the labels of the models that the wanted cells need, so that no other model can make the job fail."""
    targets = [item.target for item in job.observe if item.target and item.key in wanted]
    return list(dict.fromkeys([*(job.members if isinstance(job, AttackJob) else ()), *targets]))


def _configure_torch(threads: int) -> None:
    """Set torch to one number of threads, full float32 precision and deterministic algorithms."""
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    set_deterministic(True, warn_only=True)
    # filling catches reads of uninitialised memory, but writes every tensor twice
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _named(key: str, rows: Arrays) -> Arrays:
    return {f"{key}/{name}": row for name, row in rows.items()}
