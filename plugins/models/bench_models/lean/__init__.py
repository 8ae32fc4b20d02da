"""Networks rewritten to the same function, faster to attack."""
