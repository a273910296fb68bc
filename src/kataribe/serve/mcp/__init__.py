"""Kataribe as an MCP server: other programs ask its models and assistants as tools."""
