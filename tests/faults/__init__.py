"""No fault loses results or serves wrong ones. `python -m tests.faults --full` runs all experiments in full."""
