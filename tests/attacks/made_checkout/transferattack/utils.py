"""The names that every file of the collection imports from here."""

import torch
from torch import nn

img_max, img_min = 1.0, 0


def clamp(x, x_min, x_max):
    return torch.min(torch.max(x, x_min), x_max)


def wrap_model(model):
    raise AssertionError("the bridge replaces this function")


class EnsembleModel(nn.Module):
    def __init__(self, models, mode="mean"):
        super().__init__()
        self.device = next(models[0].parameters()).device
        self.models, self.mode = models, mode

    def forward(self, x):
        outputs = torch.stack([model(x) for model in self.models])
        return outputs.mean(0) if self.mode == "mean" else outputs
