"""Features -> estimated quality and cost, with uncertainty."""
