"""The state of a router: a fold over one event log."""
