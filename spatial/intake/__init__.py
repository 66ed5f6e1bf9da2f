"""Intake (汇交入库): read a source, check it against its layer, bring it to storage form and publish a version."""

from spatial.intake.publication import ingest_file, publish_layer

__all__ = ["ingest_file", "publish_layer"]
