"""HTTP: webhooks in, the API."""
