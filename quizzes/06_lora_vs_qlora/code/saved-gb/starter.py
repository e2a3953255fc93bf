saved_gb = ...  # weights × bits saved for each, in GB
