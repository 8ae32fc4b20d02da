"""What a GPU does with bench: `python -m benchmarks gpu`. Every measurement is saved as soon as it is made."""
