"""Shopify: webhooks, Admin GraphQL, and a sandbox that stands in for a shop."""
