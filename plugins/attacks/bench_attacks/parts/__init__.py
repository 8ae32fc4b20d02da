"""The attacks that come with bench, one idea per file. `plugin.py` offers the `RECIPE` of each under the file's name.

To add an idea, add a file with a building block (see `kinds.py`), a part that adds it to an attack (see `compose.py`)
and `RECIPE = recipe(PART)`. `ti.py` is a short example. An attack that does not fit the loop of
`gradient_attack.py` is a callable in an `AttackRecipe`, as in `noise.py` and `recover.py`.
"""
