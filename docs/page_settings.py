"""What the results page shows of each suite, on how many images, and its notes."""

from __future__ import annotations

SHOWN = {
    "transfer_table1": ("main", "clean"),
    "transfer_table2": ("main", "utility"),
    "transfer_table3": ("main", "cost"),
    "transfer_hybrid": ("main", "from_vr", "cost"),
    "transfer_table4": ("main", "scaled"),
    "transfer_fig1": ("main", "length"),
    "transfer_fig2": ("main", "error"),
    "transfer_fig3": ("main", "alone"),
    "transfer_fig5": ("main", "length"),
    "transfer_fig7": ("last_step",),
    "transfer_persistence": ("main", "l2", "clean", "ssim", "colour", "length"),
    "robustness_orders": ("change", "change_reached", "interaction", "disentanglement", "reached"),
    "robustness_strength": ("main", "pearson"),
    "robustness_contexts": ("main", "low_chance", "high", "high_chance"),
    "robustness_pointcloud": ("main", "main_reached", "share", "reached", "clean"),
    "robust_accuracy": ("main", "clean", "random", "curve", "cost"),
    "robust_defences": ("main", "clean", "certified"),
    "robust_curves": ("main", "half", "linf"),
    "robust_queries": ("main", "median", "limited"),
    "robust_optimality": ("main", "global", "median", "linf", "l0", "cost"),
    "robustness_dropout": ("main", "kept", "reached"),
    "robustness_recovery": ("main", "recoverable", "right"),
    "robustness_spectrum": ("main", "exact", "reached_only", "frequencies", "reached"),
    "robustness_rank": ("main", "change", "change_reached", "reached"),
    "robustness_detection": ("main", "main_reached", "reached"),
    "robustness_smoothing": ("change", "change_reached", "certified", "abstained", "reached"),
}
# The numbers of images of the results page, for intervals narrower than those of the suites' own numbers, which are
# chosen so that a run takes four to five minutes. Each is a multiple of the suite's micro-batch.
IMAGES = {
    "transfer_table1": 300,
    "transfer_table2": 300,
    "transfer_table3": 100,
    "transfer_hybrid": 50,
    "transfer_table4": 200,
    "transfer_fig1": 100,
    "transfer_fig2": 40,
    "transfer_fig3": 300,
    "transfer_fig5": 300,
    "transfer_fig7": 100,
    "transfer_persistence": 300,
    "robustness_orders": 50,
    "robustness_strength": 100,
    "robustness_contexts": 50,
    "robustness_pointcloud": 125,
    "robust_accuracy": 100,
    "robust_defences": 100,
    "robust_curves": 100,
    "robust_queries": 50,
    "robust_optimality": 25,
    "robustness_dropout": 400,
    "robustness_recovery": 400,
    "robustness_spectrum": 200,
    "robustness_rank": 150,
    "robustness_detection": 200,
    "robustness_smoothing": 60,
}
# What a reader should know of a section beside its numbers.
NOTES = {
    "transfer_table3": (
        "HybridIR has its authors' weight of the interaction: their code adds it to the sum of the loss over VR's "
        "20 copies. With it, HybridIR is not above VR here either. [transfer_hybrid](#transfer_hybrid) shows why: "
        "its other parts without IR, MI+VR+SGM, are not above VR, and at this weight IR changes little. In the "
        "authors' code on ResNets, the gradient in each block's input is also divided by its standard deviation, "
        "so that in SGM+IR and HybridIR the interaction weighs 26 to 28 times the loss. `normalise = true` of "
        "`sgm` does so; the rows of ResNets here follow the paper's equation without it."
    ),
    "transfer_hybrid": (
        "VR smooths the loss, by its mean over noisy copies, but not the interaction, which is computed at the image "
        "without noise: its gradient keeps the rough part that VR removes. At the authors' weight, the interaction is "
        "small beside the sum of the losses. With the mean, it weighs 20 times more, and its rough gradient costs "
        'success. Computed at the same noisy copies (`smooths = "objective"`), the same weight costs much less.'
    ),
}
