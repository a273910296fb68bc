"""A conversation as a file for others: the shown branch as Markdown, JSON or one HTML page."""
