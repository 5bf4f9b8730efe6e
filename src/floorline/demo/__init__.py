"""Simulated models and users for ``floorline demo --gateway`` and ``floorline serve --demo``."""
