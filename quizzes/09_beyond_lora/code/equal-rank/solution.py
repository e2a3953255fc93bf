of_rank_one = 30 * ((576 + 576) + (576 + 192))
rank = round(2_442_240 / of_rank_one)
