"""From keypoint frames and pivots to pictures at a steady rate."""
