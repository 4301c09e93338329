"""What is asked and answered, declared once: operations, parameters, bodies, OpenAPI."""
