def lora_forward(x, W, bias, A, B, alpha, drop):
    scaling = alpha / A.shape[0]
    frozen = x @ W.T + bias
    return frozen + scaling * (drop(x) @ A.T @ B.T)
