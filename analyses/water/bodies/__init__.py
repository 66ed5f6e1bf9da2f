"""Lakes and reservoirs as things that stay (水体对象): outlines, ids with lineage, areas by date, events, the yearly card."""
