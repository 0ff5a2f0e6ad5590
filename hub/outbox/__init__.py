"""Deliveries in both directions, their attempts, channel state, quarantine."""
