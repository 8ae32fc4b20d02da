"""The findings of the suites on robust accuracy, queries and optimality, which are of no paper."""

from __future__ import annotations

from evidence import Finding, paired

STANDARD = ("ResNet-S", "VGG")
DEFENCES = ("bits", "JPEG", "median", "TV", "noise", "resize")
LIBRARIES = ("adv-lib", "foolbox", "torchattacks")
VERSIONS = [("DDN", 2), ("FMN", 2), ("DeepFool", 3), ("C&W", 3)]  # how many of the libraries have one
ROBUST: dict[str, list[Finding]] = {
    "robust_curves": [
        Finding(
            f"the area under the curve is larger for {source}-adv than for {source}",
            2,
            paired("curve.area", {"source": f"{source}-adv"}, {"source": source}, attack="both"),
        )
        for source in STANDARD
    ],
    "robust_queries": [
        *(
            Finding(
                f"within {number} queries, GFCS, which has surrogates, fools more images than Square, which has none",
                1,
                paired("queries.success", {"attack": "GFCS"}, {"attack": "Square"}, queries=number),
            )
            for number in ("10", "20", "50")
        ),
        *(
            Finding(
                f"within {number} queries, Square fools more images than SimBA",
                1,
                paired("queries.success", {"attack": "Square"}, {"attack": "SimBA"}, queries=number),
            )
            for number in ("100", "1000")
        ),
    ],
    "robust_optimality": [
        Finding(
            f"{attack} is nearer to the best distances here than in {library} (L2)",
            -1,
            paired(
                "best_l2.gap",
                {"attack": attack, "category": "bench"},
                {"attack": f"{attack} ({library})", "category": library},
                norm="l2",
            ),
        )
        for attack, count in VERSIONS
        for library in LIBRARIES[:count]
    ],
    "robust_accuracy": [
        Finding(
            "accuracy is lower under AutoAttack than under PGD",
            1,
            paired("robust.accuracy", {"attack": "PGD"}, {"attack": "AutoAttack"}),
        ),
        *(
            Finding(
                f"accuracy under AutoAttack is higher for {source}-adv than for {source}",
                1,
                paired("robust.accuracy", {"source": f"{source}-adv"}, {"source": source}, attack="AutoAttack"),
            )
            for source in STANDARD
        ),
    ],
    "robust_defences": [
        Finding(
            f"an attack that knows the defence {name} leaves a lower accuracy than one on the network without it",
            1,
            paired(
                "accuracy.accuracy",
                {"source": "ResNet-S"},
                {"source": f"adaptive {name}"},
                target=name,
                attack="worst of both",
            ),
        )
        for name in DEFENCES
    ],
}
