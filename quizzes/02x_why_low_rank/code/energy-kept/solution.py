def energy_kept(spectrum, rank):
    return (spectrum[:rank] ** 2).sum() / (spectrum**2).sum()
