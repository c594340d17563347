"""See DESIGN in the README's layout: apps."""
