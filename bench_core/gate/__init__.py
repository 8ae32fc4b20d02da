"""The regression gate: snapshots of runs, baselines, and their comparison."""
