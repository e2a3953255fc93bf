import torch


def prepare(base, rank):
    d_out, d_in = base.weight.shape
    base.requires_grad_(False)
    A = torch.nn.Parameter(torch.randn(rank, d_in) / d_in**0.5)
    B = torch.nn.Parameter(torch.zeros(d_out, rank))
    return A, B
