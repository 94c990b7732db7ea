"""What a song is, for those who play it: tempo, beats, key and chords, from its stems.

    from umx.music.analysis import analyse

Needs scipy beside numpy: `pip install umx[music]`.
"""
