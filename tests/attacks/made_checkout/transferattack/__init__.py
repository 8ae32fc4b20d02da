"""A small stand-in for the collection, with its layout, names and habits; all code is bench's own."""

attack_zoo = {
    "steps": (".gradient.steps", "Steps"),
    "coupled": (".gradient.steps", "Coupled"),
    "single": (".gradient.steps", "Single"),
    "members": (".ensemble.members", "Members"),
    "hooked": (".model_related.hooked", "Hooked"),
    "named": (".model_related.hooked", "Named"),
    "own": (".model_related.own", "Own"),
    "needy": (".input_transformation.needy", "Needy"),
    "three": (".input_transformation.sizes", "Three"),
    "large": (".input_transformation.sizes", "Large"),
    "generated": (".generation.generated", "Generated"),
    "gone": (".gradient.gone", "Gone"),
}
