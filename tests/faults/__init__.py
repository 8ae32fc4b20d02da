"""Nothing is lost and nothing false is served, whatever fails. `python -m tests.faults --full` does it in volume."""
