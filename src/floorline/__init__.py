"""Route each LLM request to the cheapest model that keeps a promised floor on quality."""
