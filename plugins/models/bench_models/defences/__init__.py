"""Defences that transform images before a network, one file each: `RECIPE` is offered as `defended:FILE`.

A file has the transformation and its paper, and a `build` whose options are the user's. `../defended.py` puts the
transformation before a network and decides what an attacker differentiates.
"""
