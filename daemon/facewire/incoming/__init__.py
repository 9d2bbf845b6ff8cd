"""What the screen device receives, and what it says of that."""
