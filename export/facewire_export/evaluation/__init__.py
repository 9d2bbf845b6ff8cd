"""What `facewire-export evaluate` does: operating points, codecs, scores, records, and the report made from them.

    footage     a clip's frames, ready to be coded and compared
    points      what is measured: our profiles and ablations, and every codec
    codecs      pictures -> coded packets -> pictures, through PyAV; vvc through an ffmpeg that has it
    ours        pictures -> .fw -> pictures, several ways of showing at once
    transport   what the link adds: RTP for codecs, ZeroMQ for us
    scoring     shown pictures against the real ones
    records     one JSON line for each (clip, point); resumable
    run         all of them, in parallel
    report      tables, plots and a page made from the records; nothing is measured there
"""
