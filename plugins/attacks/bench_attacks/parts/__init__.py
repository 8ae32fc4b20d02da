"""The attacks, one idea a file. Every file offers its attacks in `RECIPES`; a new file is found by itself."""
