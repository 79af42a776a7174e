"""Rules without a database: states, order, roles, words."""
