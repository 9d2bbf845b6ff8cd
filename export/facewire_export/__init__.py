"""Training, export and measurement of Facewire's networks. May import torch; nothing in `facewire` imports this."""
