"""STAC API under ``/stac``: scenes and results as items."""
