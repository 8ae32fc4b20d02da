"""Attacks on a single network."""

import numpy as np
import torch

from ..attack import Attack


class Steps(Attack):
    def __init__(self, model_name, epsilon=16 / 255, alpha=1.6 / 255, epoch=10, boost=1.0, sides=(2, 3), extra=None,
                 targeted=False, random_start=False, norm="linfty", loss="crossentropy", device=None, attack="Steps",
                 **kwargs):  # fmt: skip
        super().__init__(attack, model_name, epsilon, targeted, random_start, norm, loss, device)
        self.alpha, self.epoch, self.boost = alpha * boost, epoch, boost
        self.scale = torch.tensor([1.0], device="cuda")
        print("a line on stdout")

    def direction(self, grad):
        return grad * self.scale.to(grad)


class Coupled(Steps):
    """Each image moves along the gradient of the next one, and a number of NumPy's global generator decides how far."""

    def __init__(self, model_name, num_scale=2, **kwargs):
        super().__init__(model_name, attack="Coupled", **kwargs)
        self.num_scale = num_scale

    def direction(self, grad):
        return grad + np.random.uniform() * grad.roll(1, 0)


class Single(Attack):
    def __init__(self, model_name, epsilon=16 / 255, random_start=False, device=None, **kwargs):
        super().__init__("Single", model_name, epsilon, False, random_start, "linfty", "crossentropy", device)
        self.alpha, self.epoch = epsilon, 1
