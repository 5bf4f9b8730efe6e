"""The gateway: an OpenAI-compatible server that routes each request and keeps SLAs."""
