"""Scenes (遥感影像) of a STAC catalogue: what there is, and reading it by window on any grid."""
