def dora_forward(x, W, bias, A, B, m, scaling):
    updated = W + scaling * (B @ A)
    length = updated.norm(dim=1, keepdim=True)
    weight = m[:, None] * updated / length
    return x @ weight.T + bias
