"""Runs an attack that may only ask its source: counts the queries of each image, and withholds everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ContractError
from ..norms import TOLERANCE, perturbation_size, size_limit
from ..queries import Queries, QueriesSpent
from ..types import Budget, Examples
from .attack_run import AttackRun
from .contracts import check_images
from .guard import guarded


class QueriedNetwork(nn.Module):
    """What an attack is given in place of its source: answers without gradients, up to a number of queries an image.

    It keeps the first image that fools the source inside the ball, so that an attack that is stopped has its result.

    Args:
        network: The source.
        examples: The images that are attacked.
        budget: What the source gives, and how many queries.

    Attributes:
        spent: The number of queries of each image, int64 [n].
        fooled_at: The number of the query that first fooled the source, int64 [n]; 0 for none.
        images: The images of these queries, and the clean ones elsewhere, [n, c, h, w].
        answering: Whether the source is called from here.
    """

    takes_rows = True
    _source: Any  # the network

    def __init__(self, network: nn.Module, examples: Examples, budget: Budget) -> None:
        super().__init__()
        assert budget.queries is not None
        object.__setattr__(self, "_source", network)  # no submodule: nothing that walks over modules finds it
        self.examples, self.budget, self.limit = examples, budget, budget.queries
        self.spent, self.fooled_at = torch.zeros_like(examples.labels), torch.zeros_like(examples.labels)
        self.images, self.answering = examples.images.clone(), False
        self.eval()

    def __deepcopy__(self, _memo: Any) -> QueriedNetwork:
        """Return the network itself, so that queries of a copy that an attack makes are counted."""
        return self

    @property
    def surrogate(self) -> nn.Module:
        """The network that the attacker has in full, if the source has one beside it."""
        surrogate: nn.Module = self._source.surrogate
        return surrogate

    def forward(self, images: Tensor, rows: Tensor | None = None) -> Tensor:
        """Answer queries.

        Args:
            images: Images [k, c, h, w].
            rows: Which of the attacked images they are about, int64 [k]. By default all are about the only one, or
                they are one of each, in order.

        Returns:
            Logits [k, classes]; where the budget gives labels, 1 for the predicted class and 0 for the others.

        Raises:
            ContractError: A gradient is asked for, or it is unknown which image a query is about.
            QueriesSpent: Some image has no query left. What is left is answered before, and counts.
        """
        images = self._without_gradient(images)
        rows = self._about(len(images), rows)
        number = self._numbers(rows)
        allowed = (number <= self.limit) & ((self.fooled_at[rows] == 0) | (len(self.spent) > 1))
        if allowed.any():
            answers = self._answer(images[allowed])
            self._keep(images[allowed], rows[allowed], number[allowed], answers)
            self.spent.index_add_(0, rows[allowed], torch.ones_like(rows[allowed]))
        if not allowed.all():
            raise QueriesSpent
        return answers if self.budget.access == "scores" else one_hot(answers)

    def _without_gradient(self, images: Tensor) -> Tensor:
        hidden = torch._C._functorch.is_functorch_wrapped_tensor(images)  # by a transform of torch.func
        if hidden or (images.requires_grad and torch.is_grad_enabled()):
            raise ContractError(f'asked for a gradient, which access = "{self.budget.access}" withholds')
        return images.detach().to(self.examples.images)

    def _about(self, count: int, rows: Tensor | None) -> Tensor:
        attacked = len(self.spent)
        if rows is not None:
            if rows.shape != (count,) or rows.dtype != torch.int64 or ((rows < 0) | (rows >= attacked)).any():
                raise ContractError(f"named rows that are not int64 [{count}] from 0 to {attacked - 1}")
            return rows.to(self.spent.device)
        if attacked == 1:
            return self.spent.new_zeros(count)
        if count != attacked:
            raise ContractError(f"asked about {count} images of {attacked} without bench_core.queries.ask")
        return torch.arange(count, device=self.spent.device)

    def _numbers(self, rows: Tensor) -> Tensor:
        """Return the number that each query of a call has among those about the same image, [k]."""
        earlier = (rows[:, None] == rows[None, :]).tril().sum(1)  # counts the query itself
        return self.spent[rows] + earlier

    def _answer(self, images: Tensor) -> Tensor:
        self.answering = True
        try:
            with torch.no_grad():
                answers: Tensor = self._source(images)
        finally:
            self.answering = False
        return answers

    def _keep(self, images: Tensor, rows: Tensor, numbers: Tensor, answers: Tensor) -> None:
        """Keep the first image of each row that fools the source inside the ball and the image range."""
        of_rows, predicted = self.examples.images[rows], answers.argmax(1)
        targets = self.examples.targets
        fooled = predicted != self.examples.labels[rows] if targets is None else predicted == targets[rows]
        if not fooled.any():
            return
        inside = perturbation_size(images - of_rows, self.budget.norm) <= size_limit(self.budget)
        inside &= (images.flatten(1).amin(1) >= -TOLERANCE) & (images.flatten(1).amax(1) <= 1 + TOLERANCE)
        for query in (fooled & inside).nonzero().flatten().tolist():
            row = int(rows[query])
            if self.fooled_at[row] == 0:
                self.fooled_at[row], self.images[row] = numbers[query], images[query]


def one_hot(logits: Tensor) -> Tensor:
    """Return 1 for the class of the largest logit [n, classes], and 0 for the others."""
    return torch.zeros_like(logits).scatter(1, logits.argmax(1, keepdim=True), 1)


@contextmanager
def only_through(handle: QueriedNetwork, network: nn.Module) -> Iterator[None]:
    """Raise ContractError where a network or a layer of it is called in another way than by its handle.

    It is raised again at the end, for an attack that caught it. The surrogate beside a network may be called.
    """
    around = ContractError("called its source in another way than through the network that it was given")
    caught = list[ContractError]()

    def check(_network: nn.Module, _inputs: Any) -> None:
        if not handle.answering:
            caught.append(around)
            raise around

    surrogate = getattr(network, "surrogate", None)
    free = set(surrogate.modules()) if isinstance(surrogate, nn.Module) else set()
    hooks = [layer.register_forward_pre_hook(check) for layer in network.modules() if layer not in free]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    if caught:
        raise around


@dataclass
class QueriedRun:
    """One run of an attack that may only ask its source. Iterate over `steps` once.

    An attack that names the rows that it asks about gets all images at once; another one gets them one by one.

    Attributes:
        run: The attack, with its source and images. What the attack returns is in its `returned`, if all parts did.
        budget: What the source gives.
        report: Called with the share of the images that have been attacked.
        queries: What was counted, once the run has ended.
    """

    run: AttackRun
    budget: Budget
    report: Callable[[float], None] = lambda _share: None
    queries: Queries | None = field(default=None, init=False)

    def steps(self) -> Iterator[Tensor]:
        """Yield the images [n, c, h, w] once, at the end: those that first fooled the source, else the attack's last.

        Raises:
            ContractError: if the attack asked in another way than through the network that it was given, or changed
                what it must not change.
        """
        run, parts = self.run, list[_Part]()
        count = len(run.examples.labels)
        at_once = count if getattr(run.attack, "names_rows", False) else 1
        with guarded(run.source):
            for start in range(0, count, at_once):
                parts.append(self._attack(slice(start, start + at_once)))
                self.report((start + at_once) / count)
        handles = [part.handle for part in parts]
        fooled_at, spent = (torch.cat([getattr(handle, name) for handle in handles]) for name in ("fooled_at", "spent"))
        self.queries = Queries(fooled_at, spent, handles[0].limit)
        names = set.intersection(*(set(part.returned) for part in parts))
        run.returned = {name: torch.cat([part.returned[name] for part in parts]) for name in sorted(names)}
        yield torch.cat([part.images for part in parts])

    def _attack(self, rows: slice) -> _Part:
        """Attack some of the images."""
        run = self.run
        examples = run.examples.take(rows)
        handle, last = QueriedNetwork(run.source, examples, self.budget), examples.images
        part = replace(run, source=handle, examples=examples, rng=run.rng.take(rows), memory=None)
        with only_through(handle, run.source), suppress(QueriesSpent):
            for images in part.steps():
                check_images(examples.images, images, self.budget)
                last = images
        fooled = (handle.fooled_at > 0).view(-1, *[1] * (last.ndim - 1))
        return _Part(handle, handle.images.where(fooled, last), part.returned)


@dataclass(frozen=True)
class _Part:
    """What an attack made of some of the images [k, c, h, w], what counted their queries, and the rows it returned."""

    handle: QueriedNetwork
    images: Tensor
    returned: Mapping[str, Tensor]
