"""Observations of the bank (四源接入): orthophotos of drones, snapshots of cameras, readings of sensors."""
