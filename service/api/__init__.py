"""The API, declared once: operations, parameters, bodies, OpenAPI."""
