"""Chaos: servers and learners of one log, to which things happen, and what must hold in the end."""
