"""Servers, clients and faults that several tests share."""
