"""Off-policy evaluation: estimates of another policy's results on a log."""
