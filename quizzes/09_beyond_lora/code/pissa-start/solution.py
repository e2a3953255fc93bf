def pissa_start(W, rank, scaling):
    import torch

    U, S, Vh = torch.linalg.svd(W, full_matrices=False)
    half = (S[:rank] / scaling).sqrt()
    A = half[:, None] * Vh[:rank]
    B = U[:, :rank] * half
    return W - scaling * (B @ A), A, B
