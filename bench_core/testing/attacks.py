"""What must hold for every attack. Whatever it does is held to the host's contract, in each of these situations."""

from __future__ import annotations

import torch
from torch import Tensor

from ..types import Examples
from ..worker.attack_run import AttackRun
from ..worker.guard import guarded
from ..worker.instrument import PassCounter
from .scenes import Asleep, Failing, Recording, network, streams, told
from .trial import AttackTrial
from .verdicts import Broken, Rules, Unasked, with_input

RULES = Rules()
ASLEEP = 2  # steps


@RULES.add()
def contract(trial: AttackTrial) -> None:
    """Every step stays in the ball and in [0, 1], keeps shape, dtype and order, and leaves model and process alone.

    Whatever the random start. The network, its mode, hooks and gradients, torch's flags and the global random states
    must be after it as they were before, and the input images must not be changed in place.
    """
    for start, count in ((False, 3), (True, 6)):  # with six steps the ball's border is reached
        model, given, limits = trial.scene(random_start=start, steps=count)
        trial.run(model, given, limits)


@RULES.add()
def border_images(trial: AttackTrial) -> None:
    """Images that are all black, all white or of two extremes stay in [0, 1] and are perturbed like others."""
    model, given, limits = trial.scene(random_start=True)
    given.images[2] = given.images[2].round()
    given.images[3] = 1 - given.images[2]
    trial.run(model, given, limits, extra="black, white, and only 0 and 1")


@RULES.add()
def no_room(trial: AttackTrial) -> None:
    """With eps 0 the images come back as they were."""
    model, given, limits = trial.scene(eps=0.0, step_size=0.0, random_start=True)
    reached = trial.run(model, given, limits)[-1]
    if not torch.equal(reached, given.images):
        raise Broken("the images changed", told(given, limits))


@RULES.add(declarable=True)
def one_image(trial: AttackTrial) -> None:
    """A batch of one image is a batch."""
    trial.run(*trial.scene(count=1))


@RULES.add(declarable=True)
def odd_sides(trial: AttackTrial) -> None:
    """Images need be neither square nor of an even side."""
    trial.run(*trial.scene(odd=True))


@RULES.add(declarable=True)
def one_channel(trial: AttackTrial) -> None:
    """Images may have one channel."""
    trial.run(*trial.scene(channels=1))


@RULES.add(declarable=True)
def three_channels(trial: AttackTrial) -> None:
    """Images may have three channels."""
    trial.run(*trial.scene(channels=3))


@RULES.add(declarable=True)
def inplace_network(trial: AttackTrial) -> None:
    """The network may overwrite its features in place and use one module twice."""
    trial.run(*trial.scene(inplace=True), extra="a network with in-place ReLUs, each used twice")


@RULES.add(declarable=True)
def module_names(trial: AttackTrial) -> None:
    """What the network's modules are called changes nothing."""
    model, given, limits = trial.scene()
    expected = trial.run(model, given, limits)[-1]
    found = trial.run(network(given.images.shape[1], shift=3), given, limits, extra="modules named otherwise")[-1]
    if not torch.equal(expected, found):
        raise Broken("the result changed with the names of the modules", told(given, limits))


@RULES.add()
def determinism(trial: AttackTrial) -> None:
    """The same seed gives the same bits, whatever the attack was used for before."""
    model, given, limits = trial.scene()
    attack = trial.attack(limits)
    first = trial.run(model, given, limits, attack=attack)
    other = Examples(given.images.flip(-1), given.labels, given.ids[::-1], given.targets)
    trial.run(model, other, limits, seed=1, attack=attack)
    again = trial.run(model, given, limits, attack=attack, extra="after a run on other images")
    if len(first) != len(again) or not all(torch.equal(a, b) for a, b in zip(first, again, strict=True)):
        fresh = trial.run(model, given, limits)
        kept = len(first) == len(fresh) and all(torch.equal(a, b) for a, b in zip(first, fresh, strict=True))
        why = "it keeps a state from one run to the next" if kept else "the seed does not decide what it draws"
        raise Broken(f"a second run gave other images: {why}", told(given, limits))


@RULES.add(declarable=True)
def batch_independence(trial: AttackTrial) -> None:
    """An image's result is the same whoever is beside it in the batch.

    Every step of a batch of four is compared with that of each image alone, in float64, so that rounding says nothing.
    """
    _, given, limits = trial.scene(random_start=True)
    together = _precise(trial, given, limits)
    for i in range(len(given.ids)):
        alone = _precise(trial, given.take(slice(i, i + 1)), limits, together[-1].dtype)
        for step, (one, all_) in enumerate(zip(alone, together, strict=False), 1):
            gap = (one[0] - all_[i]).abs()
            rounding = 0.0 if one.dtype == torch.float64 else 0.02
            if (gap > 1e-6).double().mean() > rounding:
                raise Broken(
                    f"image {i} differs by {gap.max():.3g} at step {step} from itself attacked alone "
                    f"({(gap > 1e-6).double().mean():.0%} of its pixels)",
                    told(given, limits),
                )
        if len(alone) < len(together) and not torch.equal(alone[-1][0], together[-1][i]):
            raise Broken(
                f"image {i} alone takes {len(alone)} steps, beside others {len(together)}", told(given, limits)
            )


def _precise(trial: AttackTrial, given: Examples, limits: object, dtype: object = torch.float64) -> list[Tensor]:
    """Run in float64; in float32 where the attack cannot."""
    for wanted in (torch.float64, torch.float32) if dtype == torch.float64 else (torch.float32,):
        exact = Examples(given.images.to(wanted), given.labels, given.ids, given.targets)
        model = network(given.images.shape[1]).to(wanted)
        try:
            return trial.run(model, exact, limits)  # type: ignore[arg-type]
        except Broken:
            if wanted == torch.float32:
                raise
    raise AssertionError


@RULES.add(declarable=True)
def zero_gradient(trial: AttackTrial) -> None:
    """Steps without a gradient give no NaN, and freeze no image for the steps after them.

    The network's gradient is exactly zero for two steps and is then there again.
    """
    model, given, limits = trial.scene(steps=6)
    asleep, reached = Asleep(model), []
    with with_input(told(given, limits, extra=f"a gradient of zero in the first {ASLEEP} steps")):
        for index, images in enumerate(trial.live(asleep, given, limits), 1):
            reached.append(images)
            asleep.awake = index >= ASLEEP
        moved = (reached[-1] - reached[min(ASLEEP, len(reached)) - 1]).flatten(1).abs().amax(1)
        if len(reached) > ASLEEP and not (moved > 0).all():
            raise Broken(f"frozen for good: images {(moved == 0).nonzero().flatten().tolist()}")


@RULES.add()
def early_close(trial: AttackTrial) -> None:
    """After any step, and when the generator is closed half-way, the network is as it was, its hooks gone."""
    model, given, limits = trial.scene()
    with with_input(told(given, limits, extra="closed after its first step")):
        attack = trial.attack(limits)
        seed = 0 if getattr(attack, "global_seed", False) else None
        with guarded(model, seed), torch.enable_grad():
            begun = attack(model, given, streams(given))
            next(begun)
        with guarded(model, seed):
            begun.close()  # type: ignore[attr-defined]


@RULES.add()
def failing_network(trial: AttackTrial) -> None:
    """A network that fails is left as it was, and its failure is not swallowed."""
    for call in (1, 2, 3):
        model, given, limits = trial.scene()
        failing = Failing(model, call)
        attack = trial.attack(limits)
        seed = 0 if getattr(attack, "global_seed", False) else None
        failed = ""
        with with_input(told(given, limits, extra=f"a network that fails at call {call}")):
            with guarded(model, seed):
                try:
                    for _ in AttackRun(attack, failing, given, streams(given), PassCounter(failing)).steps():
                        pass
                except Exception as error:
                    failed = str(error)
            if not failed and failing.calls >= call:
                raise Broken("it went on as if the network had answered")


@RULES.add(declarable=True)
def first_step(trial: AttackTrial) -> None:
    """Images are yielded after each step, not before it: the first are not the clean ones, no step is thrown away."""
    for count in (1, 3):
        model, given, limits = trial.scene(steps=count)
        reached = trial.run(model, given, limits)
        if torch.equal(reached[0], given.images):
            raise Broken("the first images are the clean ones", told(given, limits))
        if len(reached) > count:
            raise Broken(f"{len(reached)} images for {count} steps", told(given, limits))


@RULES.add(declarable=True)
def random_start(trial: AttackTrial) -> None:
    """A random start, and only that, moves an image before the first step; the image's own stream decides where."""
    model, given, limits = trial.scene(random_start=True, step_size=0.0)
    if not _asks_gradient(trial):
        raise Unasked("it asks for no gradient")
    started = trial.run(model, given, limits)[0]
    still = trial.run(*trial.scene(step_size=0.0))[0]
    if not torch.equal(still, given.images):
        raise Unasked("its steps are not the budget's")
    if torch.equal(started, given.images):
        raise Broken("random_start = true changes nothing", told(given, limits))


@RULES.add(declarable=True)
def ascent(trial: AttackTrial) -> None:
    """The loss of the network rises: cross-entropy and margin, on average over the images."""
    for loss in ("cross_entropy", "margin"):
        model, given, limits = trial.scene(loss=loss)
        if not _asks_gradient(trial):
            raise Unasked("it asks for no gradient")
        reached = trial.run(model, given, limits)[-1]
        before, after = (_likelihood(model, images, given.labels) for images in (given.images, reached))
        if not (after < before).double().mean() >= 0.5 or after.mean() >= before.mean():
            raise Broken(f"the loss fell from {-before.mean():.4g} to {-after.mean():.4g}", told(given, limits))


@RULES.add(declarable=True)
def targeted(trial: AttackTrial) -> None:
    """Under a targeted budget the class that is aimed at becomes likelier, and more so than without the aim."""
    if not _asks_gradient(trial):
        raise Unasked("it asks for no gradient")
    for loss in ("cross_entropy", "margin"):
        model, given, limits = trial.scene(targeted=True, loss=loss)
        assert given.targets is not None
        reached = trial.run(model, given, limits)[-1]
        aimless = trial.run(*trial.scene(loss=loss))[-1]
        before, after, else_ = (_likelihood(model, each, given.targets) for each in (given.images, reached, aimless))
        if after.mean() <= else_.mean():
            raise Broken("the targets are as likely when they are not aimed at", told(given, limits))
        if after.mean() <= before.mean():
            raise Broken(
                f"the log-likelihood of the targets fell from {before.mean():.4g} to {after.mean():.4g}",
                told(given, limits),
            )


@RULES.add(declarable=True)
def cost(trial: AttackTrial) -> None:
    """The declared cost is what the host counts: forwards and backwards for one image over a whole run."""
    model, given, limits = trial.scene(steps=5)
    attack, passes = trial.attack(limits), PassCounter(model)
    taken = len(trial.run(model, given, limits, attack=attack, passes=passes))
    counted = passes.forwards / len(given.ids), passes.backwards / len(given.ids)
    both = f"counted {counted[0]:g} forwards and {counted[1]:g} backwards"
    if not hasattr(attack, "cost"):
        raise Unasked(f"it declares none, and a plan marks its passes as assumed; {both}")
    promised = attack.cost.total(limits.steps)
    stopped = taken < limits.steps and all(c <= p for c, p in zip(counted, promised, strict=True))
    if counted != promised and not stopped:
        raise Broken(f"it declares {promised[0]:g} forwards and {promised[1]:g} backwards; {both}", told(given, limits))


@RULES.add(declarable=True)
def batching(trial: AttackTrial) -> None:
    """The images of a batch go through the network together, and none is asked about again and again."""
    calls = {}
    for count in (1, 8):
        model, given, limits = trial.scene(count=count, random_start=True)
        recording = Recording(model)
        trial.run(recording, given, limits)
        calls[count] = recording.calls
        repeated = len(recording.asked) - len(set(recording.asked))
        if count == 1 and repeated >= limits.steps:
            raise Broken(f"{repeated} of {len(recording.asked)} questions had been asked before", told(given, limits))
    if calls[8] >= 8 * calls[1] > 0:
        raise Broken(f"8 images take {calls[8]} calls of the network, one takes {calls[1]}", told(given, limits))


def _likelihood(model: torch.nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    with torch.no_grad():
        chosen: Tensor = model(images).log_softmax(1).gather(1, classes[:, None])
    return chosen[:, 0]


def _asks_gradient(trial: AttackTrial) -> bool:
    model, given, limits = trial.scene()
    passes = PassCounter(model)
    trial.run(model, given, limits, passes=passes)
    return passes.backwards > 0
