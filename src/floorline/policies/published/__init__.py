"""Policies of published papers, one file per paper."""
