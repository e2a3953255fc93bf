def count_lora(rank, shapes):
    return sum(rank * (d_in + d_out) for d_in, d_out in shapes)
