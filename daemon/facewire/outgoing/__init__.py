"""What the camera device sends, to whom and when, under a ceiling."""
