"""A suite becomes jobs with addresses and costs; needs no torch."""
