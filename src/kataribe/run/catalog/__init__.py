"""What models there are: cards, sources, download, and what they will need on this machine."""
