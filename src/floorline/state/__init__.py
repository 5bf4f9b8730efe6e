"""State of a router: a deterministic fold over one event log."""
