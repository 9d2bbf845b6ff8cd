"""Finding the face, following it with a still crop, and measuring it: the only room that imports MediaPipe.

    box.py      a face's place                   (values)
    finder.py   picture -> face boxes            (neural detector)
    crop.py     face boxes -> the square that is coded   (pure policy)
    mesh.py     picture -> 478 landmarks         (neural)
    pose.py     landmarks -> yaw, pitch, roll    (geometry)
    mask.py     picture -> where the person is   (neural)
"""
