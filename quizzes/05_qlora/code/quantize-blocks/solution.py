def quantize_blocks(values, book, block_size):
    blocks = values.view(-1, block_size)
    absmax = blocks.abs().amax(dim=1)
    scaled = (blocks / absmax.unsqueeze(1)).view(-1)
    distances = (scaled.unsqueeze(1) - book).abs()
    return distances.argmin(dim=1), absmax
