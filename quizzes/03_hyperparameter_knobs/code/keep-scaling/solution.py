def keep_scaling(old_rank, alpha, new_rank, use_rslora):
    ratio = new_rank / old_rank
    return alpha * (ratio**0.5 if use_rslora else ratio)
