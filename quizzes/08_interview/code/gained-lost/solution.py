def gained_lost(before, after):
    pairs = list(zip(before, after, strict=True))
    gained = sum(now and not was for was, now in pairs)
    lost = sum(was and not now for was, now in pairs)
    return gained, lost
