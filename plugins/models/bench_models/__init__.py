"""Networks and datasets for bench; `plugin.py` lists what is offered."""
