"""Plots of what a replay measured, and certificates of what a server kept."""
