def count_bits(block_size, double_block):
    if double_block is None:
        return 4 + 32 / block_size
    return 4 + 8 / block_size + 32 / (block_size * double_block)
