"""The API's shapes: one pydantic model per JSON object, from which the OpenAPI document is made."""
