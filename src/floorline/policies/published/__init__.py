"""Routers from papers, one file a router."""
