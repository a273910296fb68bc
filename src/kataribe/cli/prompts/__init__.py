"""`kataribe prompts`: templates with versions, what they were answered with, and techniques."""
