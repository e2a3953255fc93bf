def merge(W, bias, A, B, alpha):
    delta = alpha / A.shape[0] * (B @ A)
    return W + delta, bias
