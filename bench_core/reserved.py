"""Names of what the host records and derives itself."""

RECORD = "attack"  # what is recorded of every attack: a metric's label in tables, a cell's key in the store
RECORD_SCORES = (
    "linf", "l2", "l1", "l0", "forwards", "backwards", "queries", "zero_gradients", "reached", "fooled", "utility",
)  # fmt: skip
CORRELATION_SCORES = ("pearson", "slope")
CURVE_SCORES = ("worst", "area", "half_eps")
OPTIMALITY_SCORES = ("gap", "local", "global")
PREDICTED = "host:prediction"  # the classes that every model predicts for the clean images
KEPT = "host:images"  # the images of one step of an attack, kept in the store
EXAMINED = "host:sanity"  # what is examined in every model, for warnings
# columns of scores.jsonl, and of the table `scores` of `bench query`, beside the labels
SCORE_COLUMNS = ("run", "suite", "profile", "metric", "subset", "value", "low", "high", "n", "void")
MISTAKEN = "host:preprocessing"  # what a model predicts if its preprocessing has a likely mistake
NOT_GATED = {  # scores without a value for each image, and what a gate can have instead
    "half_eps": "area", "local": "gap", "global": "gap",
}  # fmt: skip
