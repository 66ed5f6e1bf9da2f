"""Reports (成果报告): one document model, drawn maps and charts, written as Word and as PDF."""
