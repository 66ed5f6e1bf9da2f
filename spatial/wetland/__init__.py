"""Pages of wetlands and reserves (湿地与保护区专页): one document a site out of what is published, as JSON and as HTML."""
