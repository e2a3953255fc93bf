def rank_for_budget(budget, layers, hidden, heads, kv_heads, mlp):
    kv = kv_heads * (hidden // heads)
    per_rank = layers * (2 * 2 * hidden + 2 * (hidden + kv) + 3 * (hidden + mlp))
    return budget // per_rank
