"""The hub: one ledger of loyalty points for many shops and tills."""
