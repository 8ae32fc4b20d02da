"""The findings of the papers for each suite, and how to read the evidence from a result."""

from __future__ import annotations

from evidence import Finding, best_detector, best_step_against_last, differences, every_cell, higher, paired
from findings_robust import ROBUST

STRENGTHS = [f"IR strength={value}" for value in ("0.25", "0.5", "1", "2", "4")]
STANDARD, SECURED = ("ResNet-S", "VGG"), ("ResNet-S-adv", "VGG-adv")
HIGH = ("0.9", "0.95", "1.0")
DROPOUT = {"operation": "dropout 0.3"}
FINDINGS: dict[str, list[Finding]] = {
    "transfer_table1": [
        Finding("IR transfers better than PGD (L-inf)", 1, differences("main", ["IR"], norm="linf")),
        Finding("IR transfers better than PGD (L2)", 1, differences("main", ["IR"], norm="l2")),
    ],
    "transfer_table2": [
        Finding("IR fools secured networks more often than PGD", 1, differences("main", ["IR"])),
        Finding("TI+IR fools secured networks more often than PGD", 1, differences("main", ["TI+IR"])),
        Finding("IR moves the margin of secured networks further than PGD", 1, differences("utility", ["IR"])),
    ],
    "transfer_table3": [
        Finding("MI transfers better than PGD", 1, differences("main", ["MI"])),
        Finding("VR transfers better than PGD", 1, differences("main", ["VR"])),
        Finding("SGM transfers better than PGD", 1, differences("main", ["SGM"])),
        Finding("SGM+IR transfers better than SGM", 1, differences("added", ["SGM+IR"])),
        Finding("every other attack transfers worse than HybridIR", -1, differences("hybrid")),
        Finding("VR transfers worse than HybridIR", -1, differences("hybrid", ["VR"])),
    ],
    "transfer_hybrid": [
        Finding("HybridIR transfers better than VR alone", 1, differences("from_vr", ["HybridIR"])),
        *(
            Finding(f"{name} transfers better than MI+VR+SGM without IR", 1, differences("main", [name]))
            for name in ("HybridIR", "HybridIR mean", "HybridIR same noise", "same noise, mean")
        ),
        Finding("MI+VR+SGM without IR transfers better than VR", 1, differences("from_vr", ["MI+VR+SGM"])),
    ],
    "transfer_table4": [
        Finding("SGM has less interaction than PGD", -1, differences("by_source", ["SGM"])),
        Finding("VR has less interaction than PGD", -1, differences("by_source", ["VR"])),
        Finding("MI has less interaction than PGD (proposition 3)", -1, differences("by_source", ["MI"])),
        Finding("IR has less interaction than PGD", -1, differences("by_source", ["IR"])),
    ],
    "transfer_fig1": [
        Finding("interaction and transfer utility are negatively correlated", -1, every_cell("main")),
    ],
    "transfer_fig2": [
        Finding("neighbouring cells interact less with the interaction loss", -1, differences("main", ["IR"])),
    ],
    "transfer_fig3": [
        *(Finding(f"{label} transfers better than strength 0", 1, differences("main", [label])) for label in STRENGTHS),
        Finding(
            "the interaction loss alone transfers better than noise of the same size",
            1,
            differences("alone", ["interaction only"]),
        ),
    ],
    "transfer_fig5": [
        Finding("one step leaves less interaction than many (proposition 1)", -1, differences("main", ["single-step"])),
        Finding("Gaussian noise has less interaction than many steps", -1, differences("main", ["Gaussian"])),
    ],
    "transfer_fig7": [
        Finding("MI transfers best before its last step", 1, best_step_against_last("MI")),
        Finding("PGD transfers best before its last step", 1, best_step_against_last("PGD")),
    ],
    "transfer_persistence": [
        *(
            Finding(
                f"{attack} fools less often when its images were saved as JPEG at quality 50 (L-inf)",
                1,
                paired(
                    "persistence.success",
                    {"saved": "float"},
                    {"saved": "JPEG 50"},
                    attack=attack,
                    budget="linf",
                    relation="black-box",
                ),
            )
            for attack in ("PGD", "TI", "IR")
        ),
        Finding(
            "IR fools more often than PGD when both are saved as JPEG at quality 50",
            1,
            paired("persistence.success", {"attack": "IR"}, {"attack": "PGD"}, saved="JPEG 50", relation="black-box"),
        ),
        Finding(
            "rounding to 8 bits makes images of PGD fool less often (L2)",
            1,
            paired(
                "persistence.success",
                {"saved": "float"},
                {"saved": "8 bits"},
                attack="PGD",
                budget="l2",
                relation="black-box",
            ),
        ),
    ],
    "robustness_orders": [
        *(
            Finding(
                f"attacks on {source} reduce interactions of the highest order more than those of order {order}",
                1,
                paired("orders.change", {"order": "1.0"}, {"order": order}, source=source),
            )
            for source in STANDARD
            for order in ("0.1", "0.5", "0.8")
        ),
        *(
            Finding(
                f"attacks reduce interactions of order {order} more in {source} than in {source}-adv",
                1,
                paired("orders.change", {"source": source}, {"source": f"{source}-adv"}, order=order),
            )
            for source in STANDARD
            for order in HIGH
        ),
        *(
            Finding(
                f"interactions of order {order} are more disentangled in {source}-adv than in {source}",
                1,
                paired("disentanglement.corrected", {"target": f"{source}-adv"}, {"target": source}, order=order),
            )
            for source in STANDARD
            for order in ("0.1", "0.3", "0.5", "0.9")
        ),
    ],
    "robustness_strength": [
        Finding("the change of high-order interactions grows with the number of iterations", 1, every_cell("pearson")),
    ],
    "robustness_contexts": [
        Finding(
            "strong low-order interactions occur in more specific contexts than chance would give",
            1,
            higher("low.contrast", "low.chance"),
        ),
        Finding(
            "strong high-order interactions occur in more specific contexts than chance would give",
            1,
            higher("high.contrast", "high.chance"),
        ),
    ],
    "robustness_pointcloud": [
        *(
            Finding(
                f"attacks reduce interactions of the highest order more than those of order {order}",
                1,
                paired("orders.change", {"order": "1.0"}, {"order": order}),
            )
            for order in ("0.2", "0.4", "0.6")
        ),
        Finding(
            "attacks reduce interactions of the highest order more in PointNet2 than in PointNet2-adv",
            1,
            paired("orders.change", {"source": "PointNet2"}, {"source": "PointNet2-adv"}, order="1.0"),
        ),
    ],
    **ROBUST,
    "robustness_dropout": [
        Finding(
            "dropout at 0.3 corrects more adversarial images than cutout",
            1,
            paired("dropout.corrected", DROPOUT, {"operation": "cutout"}),
        ),
        Finding(
            "dropout at 0.3 corrects more adversarial images than dropout at 0.1",
            1,
            paired("dropout.corrected", DROPOUT, {"operation": "dropout 0.1"}),
        ),
    ],
    "robustness_recovery": [
        Finding(
            "for secured networks, recovered images are nearer to the clean images than adversarial images are",
            -1,
            every_cell("change", source=SECURED),
        ),
        Finding(
            "for standard networks, recovered images are farther from the clean images than adversarial images are",
            1,
            every_cell("change", source=STANDARD),
        ),
    ],
    "robustness_spectrum": [
        Finding(
            "the best interaction order separates adversarial from clean images better than the best frequency",
            1,
            best_detector("orders.auroc", "spectrum.auroc"),
        ),
    ],
    "robustness_rank": [
        Finding(
            "reducing adversarial images to 1/16 of their rank increases their high-order interactions",
            1,
            every_cell("effect", HIGH, images="adversarial", rank="0.0625"),
        ),
        *(
            Finding(
                f"it increases them more than in clean images (order {order})",
                1,
                paired("rank.effect", {"images": "adversarial"}, {"images": "clean"}, rank="0.0625", order=order),
            )
            for order in HIGH
        ),
    ],
    "robustness_detection": [
        Finding(
            f"Shapley values of the highest order detect adversarial images better than those of order {order}",
            1,
            paired("detection.auroc", {"order": "1.0"}, {"order": order}, statistic="interquartile"),
        )
        for order in ("0.0", "0.25", "0.5", "0.75", "0.9")
    ],
    "robustness_smoothing": [
        Finding(
            "attacks reduce the high-order interactions of the network trained with noise",
            1,
            every_cell("change", HIGH, source="ResNet-S-noise"),
        ),
        Finding(
            "in that network, order 0.3 contributes more to the attacking utility than the highest order",
            1,
            paired("orders.utility", {"order": "0.3"}, {"order": "1.0"}, source="ResNet-S-noise"),
        ),
        Finding(
            "training with noise increases the certified accuracy at radius 0.25",
            1,
            paired(
                "certified.accuracy",
                {"target": "ResNet-S-noise smoothed"},
                {"target": "ResNet-S smoothed"},
                radius="0.25",
            ),
        ),
    ],
}
