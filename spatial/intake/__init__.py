"""Intake (汇交入库): reads a source, checks it against its layer, converts it to storage form and publishes a version."""
