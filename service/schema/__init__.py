"""How documents become answers."""
