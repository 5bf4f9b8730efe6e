"""Feedback from other programs: signatures, their payloads, and the ids that they know."""
