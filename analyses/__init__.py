"""The science (分析): pure functions on arrays and frames; an analysis knows no web and no database."""
