import math

import torch


def prepare(base, rank):
    base.requires_grad_(False)
    A = torch.nn.Parameter(torch.empty(rank, base.in_features))
    torch.nn.init.kaiming_uniform_(A, a=math.sqrt(5))
    B = torch.nn.Parameter(torch.zeros(base.out_features, rank))
    return A, B
