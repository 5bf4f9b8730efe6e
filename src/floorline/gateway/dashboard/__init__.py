"""The dashboard: pages that show what the gateway promises, keeps, spends and decides."""
