"""The HTTP API in OpenAI's shapes, and the studio's files. It receives models and never builds one."""
