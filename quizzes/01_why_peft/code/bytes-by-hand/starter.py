total_gb = ...  # 3e9 × bytes for each parameter, in GB
