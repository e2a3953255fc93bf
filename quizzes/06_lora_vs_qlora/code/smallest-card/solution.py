def smallest_card(peak_bytes, cards):
    fitting = [card for card in cards if 0.94 * card * 2**30 >= peak_bytes]
    return min(fitting) if fitting else None
