"""Conversations: bursts of messages, replies that outlive the page, titles, over any `LM`."""
