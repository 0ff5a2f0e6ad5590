"""The hub: one ledger of loyalty points for many shops and tills."""

__version__ = "0.1.0"
