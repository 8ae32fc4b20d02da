"""The base class: sign steps of the cross-entropy, averaged over the batch, on a network that it loads by name."""

import torch
from torch import nn

from .utils import EnsembleModel, clamp, img_max, img_min


class Attack:
    def __init__(self, attack, model_name, epsilon, targeted, random_start, norm, loss, device=None):
        self.attack, self.model = attack, self.load_model(model_name)
        self.epsilon, self.targeted, self.random_start, self.norm = epsilon, targeted, random_start, norm
        ensemble = isinstance(self.model, EnsembleModel)
        self.device = self.model.device if ensemble else device or next(self.model.parameters()).device
        self.loss = nn.CrossEntropyLoss()

    def load_model(self, model_name):
        raise AssertionError("the bridge gives the network")

    def forward(self, data, label):
        label = label[1] if self.targeted else label
        delta = torch.zeros_like(data).cuda()
        if self.random_start:
            delta.uniform_(-self.epsilon, self.epsilon)
            delta = clamp(delta, img_min - data, img_max - data)
        delta.requires_grad = True
        for _ in range(self.epoch):
            loss = self.loss(self.get_logits(data + delta), label)
            (grad,) = torch.autograd.grad(-loss if self.targeted else loss, delta)
            delta = self.update_delta(delta, data, self.direction(grad))
        return delta.detach()

    def get_logits(self, x):
        return self.model(x)

    def direction(self, grad):
        return grad

    def update_delta(self, delta, data, grad):
        if self.norm == "linfty":
            delta = torch.clamp(delta + self.alpha * grad.sign(), -self.epsilon, self.epsilon)
        else:
            size = grad.transpose(1, 3).view(grad.size(0), -1).norm(dim=1).view(-1, 1, 1, 1)  # not contiguous
            moved = (delta + self.alpha * grad / size).view(delta.size(0), -1)
            delta = moved.renorm(p=2, dim=0, maxnorm=self.epsilon).view_as(delta)
        return clamp(delta, img_min - data, img_max - data)

    def __call__(self, *given, **kwargs):
        self.model.eval()
        return self.forward(*given, **kwargs)
