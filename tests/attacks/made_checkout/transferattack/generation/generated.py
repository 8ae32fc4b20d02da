"""An attack that needs a trained generator."""

from ..gradient.steps import Steps


class Generated(Steps):
    pass
