"""HTTP: connections, routes, handlers, and the rules for every request."""
