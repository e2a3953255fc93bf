share_percent = ...  # in percent
