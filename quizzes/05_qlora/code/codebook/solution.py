def normal_codebook(bits, outermost):
    import torch

    def one_side(count):
        probabilities = torch.linspace(outermost, 0.5, count + 1)[:-1]
        return torch.special.ndtri(probabilities)

    half = 2 ** (bits - 1)
    values = torch.cat([-one_side(half - 1), torch.zeros(1), one_side(half)])
    return values.sort().values / values.max()
