rank = ...  # on q_proj and v_proj alone
