"""All that computes a job, and only that: the digest of this package is part of every address."""
