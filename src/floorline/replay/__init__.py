"""Fold a policy over a routing table as if it were live traffic, and measure it."""
