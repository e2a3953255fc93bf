import torch


def best_factors(M, rank):
    U, S, Vh = torch.linalg.svd(M, full_matrices=False)
    A = Vh[:rank]
    B = U[:, :rank] * S[:rank]
    return A, B
