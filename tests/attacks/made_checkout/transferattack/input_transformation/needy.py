"""An attack that needs a library."""

import no_such_library_of_bench

from ..gradient.steps import Steps


class Needy(Steps):
    library = no_such_library_of_bench
