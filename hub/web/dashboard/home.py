"""Home: is everything all right?"""

from __future__ import annotations

from flask import render_template

from hub.web.dashboard.visit import page


@page("/", "look")
def home() -> str:
    """State before numbers, numbers before tables."""
    return render_template("home.html")
