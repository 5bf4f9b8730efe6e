"""Off-policy estimates: what another policy would have done on a log."""
