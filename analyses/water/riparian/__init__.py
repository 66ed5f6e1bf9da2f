"""Riparian belts and wetlands (滨岸带与湿地): vegetation along shores, area and integrity of wetlands against a baseline."""
