"""From the camera's pictures to keypoint frames and pivots."""
