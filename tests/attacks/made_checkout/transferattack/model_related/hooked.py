"""Attacks that hook layers, found by the names that they have in a network without its preprocessing."""

from ..gradient.steps import Steps


class Hooked(Steps):
    def __init__(self, model_name, layer="first", **kwargs):
        super().__init__(model_name, attack="Hooked", **kwargs)
        if layer not in self.model[1]._modules:
            print("no such layer")
            exit()  # noqa: PLR1722
        self.model[1]._modules[layer].register_forward_hook(lambda _module, _inputs, output: 2 * output)
        self.model[1].eval().cuda()


class Named(Steps):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if kwargs["model_name"] != "resnet50":
            raise ValueError(f"Current code only supports resnet50. You are using {kwargs['model_name']}")
