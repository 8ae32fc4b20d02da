"""Networks of other libraries, and files of weights."""
