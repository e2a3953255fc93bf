def count_qkv(rank, layers, hidden, heads, kv_heads, fused):
    kv = kv_heads * (hidden // heads)
    outputs = [hidden + 2 * kv] if fused else [hidden, kv, kv]
    return layers * sum(rank * (hidden + d_out) for d_out in outputs)
