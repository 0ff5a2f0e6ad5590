"""The commands of `hub`, one module each, loaded when used."""
