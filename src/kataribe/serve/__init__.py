"""The HTTP API in OpenAI's shapes, and the studio's files; it receives models and builds none."""
