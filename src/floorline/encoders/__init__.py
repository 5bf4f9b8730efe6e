"""Prompt -> features."""
