"""The architectures of the embedded networks by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from .networks import CONVOLUTIONAL
from .patches import PATCHES

ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = MappingProxyType({**CONVOLUTIONAL, **PATCHES})
