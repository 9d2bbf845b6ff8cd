"""What travels: packets, the keypoint coder inside them, coded pivots, and the `.fw` file that holds them all."""
